// SPDX-License-Identifier: MIT
#include "kernel/merge_bases.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/directory.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/prepared_file.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/merge_base_records.h"
#include "kernel/merges.h"

namespace agentfs {
namespace {

Result<TreeInfo> get_info(const Kernel& kernel, const std::string& root) {
  auto info = kernel.forks().info_of(root);
  if (info) return std::move(*info);
  return fail(ENOENT, "{}: is no tree that was forked, and no fork", root);
}

// Without a state, of earlier builds: all of it is forgotten.
MergeBases::Rollback rollback_of(std::string_view text) {
  const auto lines = text::split(text, '\n');
  MergeBases::Rollback rollback{.undo = std::string(lines[0])};
  const auto words = lines.size() < 2 ? std::vector<std::string_view>() : text::words(lines[1]);
  if (words.size() == 2) {
    rollback.to = {text::number<std::uint32_t>(words[0]).value_or(0),
                   text::number<std::uint64_t>(words[1]).value_or(0)};
  }
  return rollback;
}

// The newest that has the label: a name that was given up may be another's by now.
std::optional<SnapshotId> state_called(const TreeInfo& tree, const std::string& label) {
  std::optional<SnapshotId> newest;
  for (const SnapshotInfo& one : tree.snapshots) {
    if (!one.hidden && one.label == label) newest = std::max(newest, std::optional(one.id));
  }
  return newest;
}

// What rollbacks are asked about: from this state of the tree on; nothing: none.
std::optional<std::uint64_t> first_asked(const TreeInfo& tree,
                                         const std::vector<BaseRecord>& records) {
  std::optional<std::uint64_t> first;
  const auto add = [&](std::uint64_t state) { first = std::min(first.value_or(state), state); };
  for (const BaseRecord& record : records) {
    if (record.from == tree.number) add(record.state);
    if (record.into == tree.number) add(record.newest.value_or(0));
  }
  // Any of them may be what a fork was made of, or is going to be, or conflicts that are left.
  for (const SnapshotInfo& one : tree.snapshots) add(one.id.sequence);
  return first;
}

Result<MergedTree> merged_tree(const std::string& directory, TreeInfo info,
                               const std::vector<BaseRecord>& records) {
  Lineage lineage = TRY(lineage_of(directory, info, records));
  return MergedTree{std::move(info), std::move(lineage)};
}

// With room for one rollback more.
Result<PreparedFile> prepare_lineage(const std::string& directory, std::uint32_t tree) {
  constexpr std::size_t kLongestLine = 64;
  const std::string file = Lineage::file(directory, tree);
  const auto now = file::exists(file) ? file::read(file) : std::string();
  return PreparedFile::begin(file, (now ? now->size() : 0) + kLongestLine);
}

// Of a rollback that has been made; done twice it is as done once.
Status follow(const std::string& directory, const TreeInfo& tree, const SnapshotId& to,
              const SnapshotId& undo, PreparedFile next, bool durable) {
  auto lineage = Lineage::read(Lineage::file(directory, tree.number));
  if (!lineage && lineage.error().code == EBADMSG) return ok();  // which merges are refused for
  if (!lineage) return std::unexpected(lineage.error());
  lineage->add(undo.sequence, to.sequence);
  const auto first = first_asked(tree, TRY(base_records(directory)));
  lineage->forget_before(first.value_or(Lineage::kNow));
  return next.replace(lineage->text(), durable);
}

// Records that are the last to hold at no time go; the states that they name, when it is settled.
// What the trees are is asked after what is recorded: a merge that ends meanwhile has kept its
// state before it writes a record. One of them may be discarded at any time.
Status forget_unneeded(const std::string& directory, const Forest& forest, std::uint32_t one,
                       std::uint32_t other) {
  const std::vector<BaseRecord> records = TRY(base_records(directory));
  const std::vector<BaseRecord> ended = TRY(ended_conflicts(directory));
  const auto first_info = forest.info(one);
  const auto second_info = forest.info(other);
  if (!first_info || !second_info) return ok();
  const auto first = merged_tree(directory, *first_info, records);
  const auto second = merged_tree(directory, *second_info, records);
  if (!first || !second) return ok();  // nobody knows
  std::vector<BaseRecord> all = records;
  all.insert(all.end(), ended.begin(), ended.end());
  const std::set<std::string> needed = needed_records(all, *first, *second);
  for (const BaseRecord& record : records) {
    const bool is_whole = record.is_of(one, other) && record.damage.empty();
    if (is_whole && !needed.contains(record.path)) TRY(forget_record(record));
  }
  for (const BaseRecord& record : ended) {
    const bool is_theirs = record.is_of(one, other);
    if (is_theirs && !needed.contains(record.path)) TRY(file::remove(record.path));
  }
  return ok();
}

Status remove_files(const std::string& directory,
                    const std::function<bool(const std::string& name)>& which) {
  for (const HostEntry& entry : TRY(list_if_there(directory))) {
    if (which(entry.name)) TRY(file::remove(fmt::format("{}/{}", directory, entry.name)));
  }
  return ok();
}

// Of trees that are gone nobody asks.
Status forget_lineages_of_gone(const std::string& directory, const Forest& forest) {
  return remove_files(directory, [&](const std::string& name) {
    const auto tree = text::number<std::uint32_t>(name.substr(0, name.find('.')));
    return tree && name == Lineage::name(*tree) && !forest.info(*tree);
  });
}

// Those of rollbacks that were cut off with the power, of trees that were never merged.
Status forget_cut_lineages(const std::string& directory, const std::vector<BaseRecord>& records) {
  return remove_files(directory, [&](const std::string& name) {
    const auto tree = text::number<std::uint32_t>(name.substr(0, name.find('.')));
    if (!tree || name != Lineage::name(*tree) || has_record_of(records, *tree)) return false;
    const auto lineage = Lineage::read(Lineage::file(directory, *tree));
    const bool is_cut = !lineage && lineage.error().code == EBADMSG;
    if (is_cut) log::warning("{}; it is done without", lineage.error().message);
    return is_cut;
  });
}

// As this build has them.
Status renew_records(const std::string& directory) {
  for (const BaseRecord& record : TRY(obsolete_records(directory))) TRY(forget_record(record));
  const std::vector<BaseRecord> records = TRY(base_records(directory));
  TRY(forget_cut_lineages(directory, records));
  for (const BaseRecord& record : records) {
    const std::string name = fmt::format("{}/{}", directory, record.name());
    if (!record.damage.empty() || record.path == name) continue;
    TRY(file::replace(name, record.text()));
    TRY(file::remove(record.path));
  }
  return ok();
}

}  // namespace

json::Value value_of(SnapshotId state) { return json::Array{state.tree, state.sequence}; }

SnapshotId snapshot_of(const json::Value& value) {
  const json::Array* const parts = value.array();
  if (parts == nullptr || parts->size() != 2) return {};
  return {static_cast<std::uint32_t>(parts->front().number()),
          static_cast<std::uint64_t>(parts->back().number())};
}

// Each forest counts its trees itself.
std::string MergeBases::directory(std::string_view root) const {
  const auto slash = root.find('/', 1);
  return fmt::format("{}/merge-bases{}", kernel_.parts().state, root.substr(0, slash));
}

Result<SnapshotId> MergeBases::begin(const std::string& root, const std::string& from) {
  const TreeInfo into = TRY(get_info(kernel_, root));
  Forest& forest = *TRY(kernel_.forks().forest_of(from));
  if (const auto other = kernel_.forks().info_of(from)) {
    TRY(file::make_directories(directory(root), 0700));
    TRY(note_unsettled(directory(root), into.number, other->number));
  }
  return forest.snapshot(std::string(text::last_part(from)), base_label(into.number));
}

bool MergeBases::drop(const std::string& from, SnapshotId state) {
  const auto forest = kernel_.forks().forest_of(from);
  const Status dropped = forest ? (*forest)->drop(state) : ok();
  if (!dropped) {
    log::warning("merge: a state of {} is kept for nothing: {}", from, dropped.error().message);
  }
  return dropped.has_value();
}

Result<BaseRecord> MergeBases::record_of(const std::string& root, const std::string& from,
                                         const Merge& merge) const {
  const TreeInfo into = TRY(get_info(kernel_, root));
  const TreeInfo other = TRY(get_info(kernel_, from));
  BaseRecord record{.into = into.number, .from = other.number, .state = merge.state.sequence};
  record.newest = merge.newest.value_or(newest_state(into));
  record.path = fmt::format("{}/{}", directory(root), record.name());
  return record;
}

Result<PreparedFile> MergeBases::prepare(const std::string& root, const std::string& from,
                                         const Merge& merge) const {
  const BaseRecord record = TRY(record_of(root, from, merge));
  TRY(file::make_directories(directory(root), 0700));
  return PreparedFile::begin(record.path, record.text().size());
}

Status MergeBases::set(const std::string& root, const std::string& from, const Merge& merge,
                       PreparedFile prepared) {
  const BaseRecord record = TRY(record_of(root, from, merge));
  TRY(prepared.replace(record.text(), true));
  Forest& forest = *TRY(kernel_.forks().forest_of(root));
  const Status forgotten = forget_unneeded(directory(root), forest, record.into, record.from);
  if (!forgotten) log::warning("merge: {}: kept for nothing: {}", root, forgotten.error().message);
  return ok();
}

Status MergeBases::set(const std::string& root, const std::string& from, SnapshotId state) {
  return set(root, from, {state}, TRY(prepare(root, from, {state})));
}

bool MergeBases::drop_states(const std::string& from, const TreeInfo& tree, std::uint32_t into,
                             const std::set<std::uint64_t>& needed) {
  bool are_gone = true;
  for (const SnapshotInfo& one : tree.snapshots) {
    const bool is_needed = !is_base_label(one.label, into) || needed.contains(one.id.sequence);
    if (!is_needed && !one.hidden) are_gone &= drop(from, one.id);
  }
  return are_gone;
}

std::string MergeBases::unsettled_file(const std::string& root, const TreeInfo& into,
                                       const TreeInfo& from) const {
  return fmt::format("{}/{}", directory(root), unsettled_name(into.number, from.number));
}

// Conflicts that are left, and what is half done, say what the next merge begins from.
Status MergeBases::settle(const std::string& root, const std::string& from) {
  const auto into = kernel_.forks().info_of(root);
  const auto other = kernel_.forks().info_of(from);
  if (!into || !other || kernel_.merges().is_half_done(root)) return ok();
  const std::string unsettled = unsettled_file(root, *into, *other);
  if (!file::exists(unsettled)) return ok();
  const MergeConflictsRef left = kernel_.merges().conflicts(root);
  if (left != nullptr && left->state.tree == other->number) return ok();
  std::set<std::uint64_t> needed;
  for (const BaseRecord& record : TRY(base_records(directory(root)))) {
    if (record.into != into->number || record.from != other->number) continue;
    if (!record.damage.empty()) return ok();  // nobody knows
    needed.insert(record.state);
  }
  bool has_ended = false;
  for (const BaseRecord& record : TRY(ended_conflicts(directory(root)))) {
    if (record.into != into->number || record.from != other->number) continue;
    needed.insert(record.state);
    has_ended = true;
  }
  // A state that is left over would pass for one whose record is gone.
  const bool are_gone = drop_states(from, *other, into->number, needed);
  return are_gone && !has_ended ? file::remove(unsettled) : ok();
}

Result<std::optional<SnapshotId>> MergeBases::find(const std::string& root,
                                                   const std::string& from) const {
  const auto into = kernel_.forks().info_of(root);
  const auto other = kernel_.forks().info_of(from);
  if (!into || !other) return std::nullopt;
  const std::string place = directory(root);
  for (const LostBase& lost : TRY(lost_bases(place, {*into, *other}))) {
    return fail(EBADMSG,
                "{}: {}; a merge might bring back what one side has removed. Unmounted, `agentfs "
                "fsck --repair` writes it anew",
                lost.record.path, lost.why);
  }
  const std::vector<BaseRecord> records = TRY(base_records(place));
  const auto is_theirs = [&](const BaseRecord& one) {
    return one.is_of(into->number, other->number);
  };
  if (std::ranges::none_of(records, is_theirs)) return std::nullopt;
  const MergedTree ours = TRY(merged_tree(place, *into, records));
  const MergedTree theirs = TRY(merged_tree(place, *other, records));
  const BaseRecord* const last = last_that_holds(records, ours, theirs);
  if (last == nullptr) return std::nullopt;
  return SnapshotId{last->from, last->state};
}

Result<std::vector<std::string>> MergeBases::forget_with(const std::string& root,
                                                         const Rollback& rollback,
                                                         const std::function<Status()>& change) {
  const auto info = kernel_.forks().info_of(root);
  const std::string place = directory(root);
  if (!info) {
    TRY(change());
    return std::vector<std::string>();
  }
  TRY(file::make_directories(place, 0700));
  // Without a merge it says what forks have in common, for which nobody waits.
  const bool was_merged = !TRY(base_records(place)).empty() || !kernel_.conflicts().all().empty();
  const std::string order = rollback_file(place, info->number);
  const std::string text =
      fmt::format("{}\n{} {}\n", rollback.undo, rollback.to.tree, rollback.to.sequence);
  // Once it is made a full disk must not keep it from being known.
  PreparedFile lineage = TRY(prepare_lineage(place, info->number));
  TRY(TRY(PreparedFile::begin(order, text.size())).replace(text, was_merged));
  if (Status changed = change(); !changed) {
    TRY(file::remove(order));
    return std::unexpected(std::move(changed).error());
  }
  const TreeInfo now = TRY(get_info(kernel_, root));
  if (const auto before = state_called(now, rollback.undo)) {
    TRY(follow(place, now, rollback.to, *before, std::move(lineage), was_merged));
  }
  auto ended = TRY(forget_conflicts(root, info->number));
  TRY(file::remove(order));
  return ended;
}

Status MergeBases::forget_gone() {
  TRY(forget_records_of_gone());
  for (const auto& [top, forest] : kernel_.parts().forests) TRY(settle_all(top, *forest));
  return ok();
}

Status MergeBases::settle_all(const std::string& top, Forest& forest) {
  const auto path_of = [&](std::uint32_t number) {
    const auto info = forest.info(number);
    return info ? fmt::format("{}/{}", top, info->name) : std::string();
  };
  for (const UnsettledPair& pair : TRY(unsettled_pairs(directory(top)))) {
    const std::string root = path_of(pair.into);
    // A merge that is under way has a state that is in no record yet.
    if (root.empty() || !kernel_.conflicts().try_to_begin(root)) continue;
    const Status settled = settle(root, path_of(pair.from));
    kernel_.conflicts().end(root);
    TRY(settled);
  }
  return ok();
}

Status MergeBases::forget_records_of_gone() {
  for (const auto& [top, forest] : kernel_.parts().forests) {
    const std::string place = directory(top);
    std::set<std::pair<std::uint32_t, std::uint32_t>> pairs;
    std::vector<BaseRecord> records = TRY(base_records(place));
    for (BaseRecord& record : TRY(ended_conflicts(place))) records.push_back(std::move(record));
    for (const BaseRecord& record : records) {
      if (forest->info(record.into) && forest->info(record.from)) {
        pairs.emplace(std::minmax(record.into, record.from));
      } else {
        TRY(file::remove(record.path));
      }
    }
    for (const auto& [one, other] : pairs) TRY(forget_unneeded(place, *forest, one, other));
    TRY(forget_lineages_of_gone(place, *forest));
    for (const UnsettledPair& pair : TRY(unsettled_pairs(place))) {
      const bool are_there = forest->info(pair.into) && forest->info(pair.from);
      if (!are_there) TRY(file::remove(pair.path));
    }
  }
  return ok();
}

Status MergeBases::for_each_order(const std::function<Status(const Order&)>& act) {
  for (const auto& [top, forest] : kernel_.parts().forests) {
    const std::string place = directory(top);
    for (const TreeInfo& tree : forest->family()) {
      const std::string file = rollback_file(place, tree.number);
      if (!file::exists(file)) continue;
      Rollback rollback = rollback_of(TRY(file::read(file)));
      const auto before = state_called(tree, rollback.undo);
      TRY(act({file, fmt::format("{}/{}", top, tree.name), std::move(rollback), before}));
    }
  }
  return ok();
}

Status MergeBases::settle() {
  for (const auto& [top, forest] : kernel_.parts().forests) {
    TRY(remove_files(directory(top), PreparedFile::is_left));
    TRY(renew_records(directory(top)));
  }
  TRY(for_each_order([&](const Order& order) -> Status {
    if (!order.before) return ok();
    const auto tree = kernel_.forks().info_of(order.root);
    if (!tree) return ok();
    const std::string place = directory(order.root);
    return follow(place, *tree, order.rollback.to, *order.before,
                  TRY(prepare_lineage(place, tree->number)), true);
  }));
  return forget_records_of_gone();
}

}  // namespace agentfs
