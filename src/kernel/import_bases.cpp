// SPDX-License-Identifier: MIT
// What the directory of an import was taken for when its workspace had its checkpoints.
#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/import_mirror.h"
#include "kernel/import_names.h"
#include "kernel/import_order.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"

namespace agentfs {

using import_names::path_of;

namespace {

// "beside/120/before-refactor": the hidden tree as it was, with so many records, when the workspace
// got this checkpoint.
constexpr std::string_view kBeside = "beside/";

std::string label_of(std::size_t records, const std::string& checkpoint) {
  return fmt::format("{}{}/{}", kBeside, records, checkpoint);
}

struct Beside {
  std::size_t records = 0;
  std::string checkpoint{};
};

std::optional<Beside> parse(std::string_view label) {
  if (!label.starts_with(kBeside)) return std::nullopt;
  label.remove_prefix(kBeside.size());
  const auto slash = label.find('/');
  const auto records = text::number<std::size_t>(label.substr(0, slash));
  if (!records || slash == std::string_view::npos) return std::nullopt;
  return Beside{*records, std::string(label.substr(slash + 1))};
}

// Of each path what it was before and is after; a file that a directory took the place of is two
// changes.
std::map<std::string, HostDrift> by_path(const std::vector<PathChange>& changes) {
  std::map<std::string, HostDrift> all;
  for (const PathChange& change : changes) {
    HostDrift& one = all[change.path];
    one.path = change.path;
    if (change.before.exists()) one.recorded = change.before;
    if (change.after.exists()) one.now = change.after;
  }
  return all;
}

bool is_at_or_below(const std::string& path, const std::set<std::string>& paths) {
  if (paths.contains(path)) return true;
  for (auto slash = path.rfind('/'); slash != std::string::npos && slash != 0;
       slash = path.rfind('/', slash - 1)) {
    if (paths.contains(path.substr(0, slash))) return true;
  }
  return false;
}

}  // namespace

std::vector<SnapshotInfo> Imports::states_of(const Import& import) const {
  const auto info = kernel_.forks().info_of(path_of(import.tree));
  std::vector<SnapshotInfo> states;
  for (const SnapshotInfo& one : info ? info->snapshots : std::vector<SnapshotInfo>()) {
    if (!one.hidden) states.push_back(one);
  }
  return states;
}

void Imports::end_half_done(const std::string& root) {
  const auto import = find(root);
  if (!import) return;
  const Status ended = end_half_done(*import);
  if (!ended) log::warning("{}: left half done: {}", root, ended.error().message);
}

Status Imports::keep_base(const std::string& root, const std::string& checkpoint) {
  const auto import = find(root);
  if (!import || store().marked(import->id)) return ok();
  drop_base(root, checkpoint);  // of one of this name that a crash has left
  const std::size_t records = TRY(store().records(import->id));
  (void)TRY(forest().snapshot(import->tree, label_of(records, checkpoint)));
  return ok();
}

void Imports::drop_base(const std::string& root, const std::string& checkpoint) {
  const auto import = find(root);
  if (!import) return;
  bool was_there = false;
  for (const SnapshotInfo& one : states_of(*import)) {
    const auto beside = parse(one.label);
    if (!beside || beside->checkpoint != checkpoint) continue;
    drop(one.id);
    was_there = true;
  }
  if (was_there) drop_uncommitted(*import);
}

// Those of checkpoints that are gone.
void Imports::drop_bases(const Import& import) {
  const auto checkpoints = kernel_.forks().checkpoints(import.root);
  for (const SnapshotInfo& one : states_of(import)) {
    const auto beside = parse(one.label);
    const bool is_gone = beside && std::ranges::find(checkpoints, beside->checkpoint,
                                                     &SnapshotInfo::label) == checkpoints.end();
    if (is_gone) drop(one.id);
  }
  drop_uncommitted(import);
}

// A commit and its uncommit are nothing together, but for a checkpoint of in between.
void Imports::drop_uncommitted(const Import& import) {
  const auto states = states_of(import);
  for (const SnapshotInfo& one : states) {
    const auto uncommit = uncommit_of(one);
    if (!uncommit) continue;
    const bool is_needed = std::ranges::any_of(states, [&](const SnapshotInfo& state) {
      const bool is_between =
          state.id < uncommit->start && (!uncommit->commit || *uncommit->commit < state.id);
      return is_between && parse(state.label);
    });
    if (is_needed) continue;
    drop(uncommit->after);
    drop(uncommit->start);
    const auto commit =
        std::ranges::find(states, uncommit->commit.value_or(SnapshotId{}), &SnapshotInfo::id);
    if (commit == states.end()) continue;
    drop(commit->id);
    if (const auto start = order_start(*commit)) drop(*start);
  }
}

// All that has changed in the hidden tree since but what orders have made of it.
Result<std::set<std::string>> Imports::taken_over(const Import& import, SnapshotId since,
                                                  SnapshotId now) const {
  std::set<std::string> paths;
  const auto add = [&](SnapshotId from, SnapshotId to) -> Status {
    for (const PathChange& change : TRY(difference(from, to))) paths.insert(change.path);
    return ok();
  };
  SnapshotId from = since;
  for (const SnapshotInfo& one : states_of(import)) {
    const auto start = order_start(one);
    if (!start || *start < since || one.id < from) continue;
    TRY(add(from, *start));
    from = one.id;
  }
  TRY(add(from, now));
  return paths;
}

// The hidden tree is `base` but for these changes, which the directory still has. What it was is
// what conflicts that are left read.
Status Imports::go_back_but_for(const Import& import, const Base& base,
                                const std::vector<HostDrift>& changes,
                                const std::set<std::string>& forgotten) {
  const SnapshotId was = TRY(forest().rollback(import.tree, base.state, kRefused));
  TRY(kernel_.merges().set_theirs(import.root, was));
  drop_refused(import);
  TRY(store().go_back(import.id, base.records, forgotten));
  const TreeNodeRef tree = TRY(forest().tree(import.tree)).node;
  return ImportMirror(forest(), store(), import.id, tree).apply(changes);
}

// With the mark, which stays: until all is done, what was before is what counts.
Status Imports::forget_since(const Import& import, const Base& base, const ImportMark& mark) {
  const SnapshotId now = mark.before;
  const auto changes = by_path(TRY(difference(base.state, now)));
  if (changes.empty()) return ok();
  const std::set<std::string> taken = TRY(taken_over(import, base.state, now));
  std::vector<HostDrift> stays;
  std::set<std::string> forgotten;
  for (const auto& [path, change] : changes) {
    if (is_at_or_below(path, taken)) {
      forgotten.insert(path);
    } else {
      stays.push_back(change);
    }
  }
  if (forgotten.empty()) return ok();
  TRY(store().mark(import.id, mark.note()));
  Status gone_back = go_back_but_for(import, base, stays, forgotten);
  if (!gone_back) {
    // Without the directory nothing of it can be taken for known.
    TRY(put_back(import));
    for (const HostDrift& change : stays) forgotten.insert(change.path);
    TRY(store().mark(import.id, mark.note()));
    gone_back = go_back_but_for(import, base, {}, forgotten);
  }
  if (!gone_back) TRY(put_back(import));
  return gone_back;
}

// The workspace has gone back, and its base with it, or neither.
Status Imports::end_going_back(const Import& import, const ImportMark& mark) {
  const auto undo = kernel_.forks().find(import.root, mark.undo);
  TRY(undo && undo->was_replaced ? store().unmark(import.id) : put_back(import));
  drop(mark.before);
  return ok();
}

Status Imports::go_back_to(const std::string& root, const std::string& checkpoint,
                           const std::string& undo) {
  const auto import = find(root);
  if (!import || store().marked(import->id)) return ok();
  for (const SnapshotInfo& one : states_of(*import)) {
    const auto beside = parse(one.label);
    if (!beside || beside->checkpoint != checkpoint) continue;
    const SnapshotId now = TRY(forest().snapshot(import->tree, kOrderStart));
    Status done = forget_since(*import, {one.id, beside->records}, {now, undo});
    if (!store().marked(import->id)) drop(now);
    return done;
  }
  return ok();  // a checkpoint of an earlier version
}

}  // namespace agentfs
