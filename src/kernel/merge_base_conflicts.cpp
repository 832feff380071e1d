// SPDX-License-Identifier: MIT
// What rollbacks do to conflicts that merges have left, and what is kept of these for that; and to
// what a fork has in common with what it is of.
#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/conflict_records.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/merge_base_records.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/paths.h"

namespace agentfs {

namespace {

// The merge that left them; nothing: one that was refused, or an earlier build's.
std::optional<BaseRecord> merge_of(std::uint32_t into, const MergeConflicts& left) {
  if (!left.after || left.state.tree != left.from) return std::nullopt;
  return BaseRecord{
      .into = into, .from = left.from, .state = left.state.sequence, .newest = left.after};
}

// Whether the merge is of what both have come from.
bool holds(const std::string& place, const BaseRecord& merge) {
  const auto ours = Lineage::read(Lineage::file(place, merge.into));
  const auto theirs = Lineage::read(Lineage::file(place, merge.from));
  return ours && theirs && ours->has_after(merge.newest.value_or(0)) &&
         theirs->has_state(merge.state);
}

// By what the tree of each has come from.
Merges::IsEnded ended_in(const std::string& place) {
  return [place](std::uint32_t into, const MergeConflicts& left, const std::string& path) {
    const auto states = left.ended_after.find(path);
    if (states == left.ended_after.end()) return false;
    const auto ours = Lineage::read(Lineage::file(place, into));
    return ours && std::ranges::any_of(states->second,
                                       [&](std::uint64_t state) { return ours->has_after(state); });
  };
}

}  // namespace

// Those of what was taken back say what the next merge begins from: they go with it, and come back
// with it.
Result<std::vector<std::string>> MergeBases::forget_conflicts(const std::string& root,
                                                              std::uint32_t tree) {
  const std::string place = directory(root);
  const auto stays = [&](std::uint32_t into, const MergeConflicts& left) {
    const auto merge = merge_of(into, left);
    if (!merge) return false;
    if (holds(place, *merge)) return !has_later(root, into, left.state);
    if (const Status kept = keep_conflicts(root, into, left); !kept) {
      log::warning("{}: conflicts of a merge: {}", root, kept.error().message);
    }
    return false;
  };
  auto ended = TRY(kernel_.merges().forget_conflicts(root, tree, stays, ended_in(place)));
  bring_back_conflicts(root, tree);
  return ended;
}

Status MergeBases::keep_conflicts(const std::string& root, std::uint32_t into,
                                  const MergeConflicts& left) {
  const auto merge = merge_of(into, left);
  if (!merge) return ok();
  TRY(note_unsettled(directory(root), into, left.from));
  return file::replace(ended_file(directory(root), *merge), stored(left));
}

// The rollback is made, whatever becomes of these: without them the next merge finds them anew.
void MergeBases::bring_back_conflicts(const std::string& root, std::uint32_t tree) {
  const std::string place = directory(root);
  const Merges::IsEnded ended = ended_in(place);
  for (const BaseRecord& merge : ended_conflicts(place).value_or(std::vector<BaseRecord>())) {
    const bool is_its = merge.into == tree || merge.from == tree;
    if (!is_its || !holds(place, merge)) continue;
    if (has_later(root, merge.into, {merge.from, merge.state})) continue;
    const auto text = file::read(merge.path);
    const Status left =
        text ? kernel_.merges().leave_again(paths::top_of(root), merge.into, *text, ended)
             : Status(std::unexpected(text.error()));
    if (!left) log::warning("{}: conflicts of a merge: {}", merge.path, left.error().message);
  }
}

// Whether the next merge begins from that state of theirs anyhow, or from a later one of the two.
bool MergeBases::has_later(const std::string& root, std::uint32_t into, SnapshotId state) const {
  const std::string top(text::first_parts(root, 1));
  const Forest& forest = *kernel_.parts().forests.at(top);
  const auto ours = forest.info(into);
  const auto theirs = forest.info(state.tree);
  if (!ours || !theirs) return false;
  const auto path_of = [&](const TreeInfo& tree) { return fmt::format("{}/{}", top, tree.name); };
  const auto last = find(path_of(*ours), path_of(*theirs));
  if (!last || !*last) return false;
  const auto time_of = [](const TreeInfo& tree, SnapshotId id) {
    const auto found = std::ranges::find(tree.snapshots, id, &SnapshotInfo::id);
    return found == tree.snapshots.end() ? std::int64_t{0} : found->time;
  };
  return time_of((*last)->tree == state.tree ? *theirs : *ours, **last) >= time_of(*theirs, state);
}

SnapshotId MergeBases::common_state(const std::string& root, SnapshotId forked_at) const {
  const auto tree = kernel_.forks().info_of(root);
  const auto lineage =
      tree ? Lineage::read(Lineage::file(directory(root), tree->number)) : Lineage();
  const bool is_rescue = tree && lineage && lineage->was_left(forked_at.sequence);
  if (!is_rescue || lineage->has_state(forked_at.sequence)) return forked_at;
  std::optional<SnapshotId> last;
  for (const SnapshotInfo& one : tree->snapshots) {
    const std::uint64_t state = one.id.sequence;
    const bool is_common = one.id < forked_at && lineage->has_state(state) &&
                           lineage->has_state(state, forked_at.sequence);
    if (is_common) last = std::max(last, std::optional(one.id));
  }
  return last.value_or(forked_at);
}

Status MergeBases::settle_conflicts() {
  TRY(for_each_order([&](const Order& order) -> Status {
    if (order.before) TRY(forget_conflicts(order.root, order.before->tree));
    return file::remove(order.file);
  }));
  for (const auto& [top, forest] : kernel_.parts().forests) TRY(settle_all(top, *forest));
  return ok();
}

}  // namespace agentfs
