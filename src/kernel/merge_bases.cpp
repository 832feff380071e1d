// SPDX-License-Identifier: MIT
#include "kernel/merge_bases.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/merges.h"

namespace agentfs {
namespace {

std::string record_name(const TreeInfo& into, const TreeInfo& from) {
  return fmt::format("{}.{}", into.number, from.number);
}

std::string label_of(const TreeInfo& into) { return fmt::format("merged/{}", into.number); }

Result<TreeInfo> get_info(const Kernel& kernel, const std::string& root) {
  auto info = kernel.forks().info_of(root);
  if (info) return std::move(*info);
  return fail(ENOENT, "{}: is no tree that was forked, and no fork", root);
}

// The state that was merged, by its sequence number, and the newest of the tree that got it as the
// merge ended; earlier builds did not say the second.
struct BaseRecord {
  std::uint64_t state = 0;
  std::optional<std::uint64_t> into{};

  std::string text() const { return fmt::format("{} {}\n", state, into.value_or(0)); }
  static std::optional<BaseRecord> read(const std::string& file) {
    const auto text = file::read(file);
    const auto words = text ? text::words(*text) : std::vector<std::string_view>();
    const auto state = words.empty() ? std::nullopt : text::number<std::uint64_t>(words[0]);
    if (!state) return std::nullopt;
    return BaseRecord{*state,
                      words.size() < 2 ? std::nullopt : text::number<std::uint64_t>(words[1])};
  }
};

// The state that a record names, if it is one of the tree's still.
const SnapshotInfo* recorded(const std::string& file, const TreeInfo& from) {
  const auto record = BaseRecord::read(file);
  if (!record) return nullptr;
  const SnapshotId id{from.number, record->state};
  const auto found = std::ranges::find(from.snapshots, id, &SnapshotInfo::id);
  return found == from.snapshots.end() ? nullptr : &*found;
}

// What is to be forgotten of a tree that is going back; in it the name of the state before.
constexpr std::string_view kOrder = ".rollback";

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

// The file of a record. Since a rollback has taken the merge back it is set aside, by the state
// that undoes the rollback, as <into>.<from>.<tree>.<sequence>.
struct RecordFile {
  std::string path{};
  std::uint32_t into = 0;
  std::uint32_t from = 0;
  std::optional<SnapshotId> aside{};

  bool is_of(std::uint32_t tree) const { return into == tree || from == tree; }
};

std::optional<RecordFile> record_file(const std::filesystem::path& path) {
  const std::string name = path.filename();
  std::vector<std::uint64_t> parts;
  for (const std::string_view word : text::split(name, '.')) {
    const auto number = text::number<std::uint64_t>(word);
    if (!number) return std::nullopt;
    parts.push_back(*number);
  }
  if (parts.size() != 2 && parts.size() != 4) return std::nullopt;
  const auto tree_at = [&](std::size_t at) { return static_cast<std::uint32_t>(parts[at]); };
  RecordFile file{.path = path, .into = tree_at(0), .from = tree_at(1)};
  if (parts.size() == 4) file.aside = SnapshotId{tree_at(2), parts[3]};
  return file;
}

Result<std::vector<RecordFile>> records(const std::string& directory) {
  std::vector<RecordFile> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (auto file = record_file(entry.path())) found.push_back(std::move(*file));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail_errno(error.value(), directory);
  }
  return found;
}

// A state of the tree that was taken after a merge has in it what was merged.
bool has_it(const SnapshotId& state, const RecordFile& file) {
  const auto record = BaseRecord::read(file.path);
  if (!record) return false;
  if (state.tree == file.from) return record->state <= state.sequence;
  return state.tree == file.into && record->into && *record->into < state.sequence;
}

Status rename_record(const std::string& from, const std::string& to) {
  return ::rename(from.c_str(), to.c_str()) == 0 ? ok() : fail_errno(from);
}

// The tree is what it was at `to`: the merges that this has not seen are over, until `undo`, the
// state before, is what it is again. Done twice it is as done once.
Status follow(const std::string& directory, const SnapshotId& to, const SnapshotId& undo) {
  const std::vector<RecordFile> all = TRY(records(directory));
  for (const RecordFile& file : all) {
    if (!file.is_of(undo.tree) || (to.tree == undo.tree && has_it(to, file))) continue;
    if (file.aside && file.aside->tree == undo.tree) continue;
    if (file.aside || to.tree == 0) {
      TRY(file::remove(file.path));
    } else {
      TRY(rename_record(file.path, fmt::format("{}.{}.{}", file.path, undo.tree, undo.sequence)));
    }
  }
  for (const RecordFile& file : all) {
    if (file.aside != to) continue;
    TRY(rename_record(file.path, fmt::format("{}/{}.{}", directory, file.into, file.from)));
  }
  return ok();
}

std::optional<SnapshotId> state_called(const TreeInfo& tree, const std::string& label) {
  const auto found = std::ranges::find(tree.snapshots, label, &SnapshotInfo::label);
  return found == tree.snapshots.end() ? std::nullopt : std::optional(found->id);
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
  return forest.snapshot(std::string(text::last_part(from)), label_of(into));
}

void MergeBases::drop(const std::string& from, SnapshotId state) {
  const auto forest = kernel_.forks().forest_of(from);
  if (!forest) return;
  if (const Status dropped = (*forest)->drop(state); !dropped) {
    log::warning("merge: a state of {} is kept for nothing: {}", from, dropped.error().message);
  }
}

Status MergeBases::set(const std::string& root, const std::string& from, SnapshotId state) {
  const TreeInfo into = TRY(get_info(kernel_, root));
  const TreeInfo other = TRY(get_info(kernel_, from));
  const std::string place = directory(root);
  TRY(file::make_directories(place, 0700));
  BaseRecord record{.state = state.sequence, .into = 0};
  for (const SnapshotInfo& one : into.snapshots) {
    record.into = std::max(*record.into, one.id.sequence);
  }
  TRY(file::replace(fmt::format("{}/{}", place, record_name(into, other)), record.text()));
  std::set<std::uint64_t> needed{state.sequence};
  for (const RecordFile& file : TRY(records(place))) {
    const auto known = BaseRecord::read(file.path);
    if (known && file.into == into.number && file.from == other.number) needed.insert(known->state);
  }
  for (const SnapshotInfo& one : other.snapshots) {
    const bool is_needed = one.label != label_of(into) || needed.contains(one.id.sequence);
    if (!is_needed && !one.hidden) drop(from, one.id);
  }
  return ok();
}

std::optional<SnapshotId> MergeBases::find(const std::string& root, const std::string& from) const {
  const auto into = kernel_.forks().info_of(root);
  const auto other = kernel_.forks().info_of(from);
  if (!into || !other) return std::nullopt;
  const std::string place = directory(root);
  const auto* const there =
      recorded(fmt::format("{}/{}", place, record_name(*into, *other)), *other);
  const auto* const back = recorded(fmt::format("{}/{}", place, record_name(*other, *into)), *into);
  if (there == nullptr && back == nullptr) return std::nullopt;
  if (there == nullptr) return back->id;
  if (back == nullptr) return there->id;
  return there->time < back->time ? back->id : there->id;
}

Result<std::vector<std::string>> MergeBases::forget_with(const std::string& root,
                                                         const Rollback& rollback,
                                                         const std::function<Status()>& change) {
  const auto info = kernel_.forks().info_of(root);
  const std::string place = directory(root);
  const bool has_any = file::exists(place) || !kernel_.conflicts().all().empty();
  if (!info || !has_any) {
    TRY(change());
    return std::vector<std::string>();
  }
  TRY(file::make_directories(place, 0700));
  const std::string order = fmt::format("{}/{}{}", place, info->number, kOrder);
  TRY(file::replace(
      order, fmt::format("{}\n{} {}\n", rollback.undo, rollback.to.tree, rollback.to.sequence)));
  if (Status changed = change(); !changed) {
    TRY(file::remove(order));
    return std::unexpected(std::move(changed).error());
  }
  const TreeInfo now = TRY(get_info(kernel_, root));
  if (const auto before = state_called(now, rollback.undo)) {
    TRY(follow(place, rollback.to, *before));
  }
  auto ended = TRY(kernel_.merges().forget_conflicts(root, info->number));
  TRY(file::remove(order));
  return ended;
}

// The conflicts of what was taken back say what the next merge begins from: they go with it.
Status MergeBases::settle_conflicts() {
  return for_each_order([&](const Order& order) -> Status {
    if (order.before) TRY(kernel_.merges().forget_conflicts(order.root, order.before->tree));
    return file::remove(order.file);
  });
}

Status MergeBases::forget_gone() {
  for (const auto& [top, forest] : kernel_.parts().forests) {
    std::set<std::uint32_t> there;
    std::set<SnapshotId> states;
    for (const TreeInfo& tree : forest->family()) {
      if (!tree.name.empty()) there.insert(tree.number);
      for (const SnapshotInfo& one : tree.snapshots) {
        if (!one.hidden) states.insert(one.id);
      }
    }
    for (const RecordFile& file : TRY(records(directory(top)))) {
      const bool is_needed = there.contains(file.into) && there.contains(file.from) &&
                             (!file.aside || states.contains(*file.aside));
      if (!is_needed) TRY(file::remove(file.path));
    }
  }
  return ok();
}

Status MergeBases::for_each_order(const std::function<Status(const Order&)>& act) {
  for (const auto& [top, forest] : kernel_.parts().forests) {
    const std::string place = directory(top);
    for (const TreeInfo& tree : forest->family()) {
      const std::string file = fmt::format("{}/{}{}", place, tree.number, kOrder);
      if (!file::exists(file)) continue;
      Rollback rollback = rollback_of(TRY(file::read(file)));
      const auto before = state_called(tree, rollback.undo);
      TRY(act({file, fmt::format("{}/{}", top, tree.name), std::move(rollback), before}));
    }
  }
  return ok();
}

Status MergeBases::settle() {
  TRY(for_each_order([&](const Order& order) {
    if (!order.before) return ok();
    return follow(directory(order.root), order.rollback.to, *order.before);
  }));
  return forget_gone();
}

}  // namespace agentfs
