// SPDX-License-Identifier: MIT
// What goes back to the directory of an import: commit and uncommit, and their end after a crash.
#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include "base/blocks.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/import_changes.h"
#include "kernel/import_names.h"
#include "kernel/import_order.h"
#include "kernel/import_turn.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/tree_path.h"

namespace agentfs {

using import_names::path_of;

namespace {

using States = std::map<std::string, FileState>;

std::vector<std::string> paths_of(const std::vector<PathChange>& changes) {
  std::set<std::string> paths;
  for (const PathChange& change : changes) paths.insert(change.path);
  return {paths.begin(), paths.end()};
}

// Nothing can be made at or below a path that is no directory, nor one be removed that holds
// something.
bool is_hit(const PathChange& wanted, const States& since) {
  if (since.contains(wanted.path)) return true;
  for (auto slash = wanted.path.rfind('/'); slash != std::string::npos && slash != 0;
       slash = wanted.path.rfind('/', slash - 1)) {
    const auto above = since.find(wanted.path.substr(0, slash));
    if (above != since.end() && !above->second.is_directory()) return true;
  }
  if (wanted.after.is_directory()) return false;
  const std::string below = wanted.path + "/";
  return std::any_of(since.lower_bound(below), since.end(), [&](const auto& one) {
    return one.first.starts_with(below) && one.second.exists();
  });
}

}  // namespace

Result<std::vector<PathChange>> Imports::difference(SnapshotId before, SnapshotId after) const {
  CompareOptions how = Forks::options(forest());
  how.renames = false;
  how.attributes = false;
  how.git = CompareOptions::GitDirectories::hidden;
  return kernel_.parts().comparer->changes({&forest(), TRY(forest().snapshot_root(before))},
                                           {&forest(), TRY(forest().snapshot_root(after))}, how);
}

Result<std::vector<PathChange>> Imports::changes_of(const ImportOrder& order) const {
  auto changes = TRY(difference(order.start, order.to));
  if (order.from == order.start) return changes;
  const auto paths = paths_of(TRY(difference(order.from, order.to)));
  std::erase_if(changes, [&](const PathChange& change) {
    return !std::ranges::binary_search(paths, change.path);
  });
  return changes;
}

Status Imports::check_still_there(const Import& import, const ImportOrder& order) const {
  std::vector<PathChange> hit = TRY(changes_of(order));
  States wanted;
  for (const PathChange& change : hit) {
    if (change.after.exists()) wanted[change.path] = change.after;
  }
  States since;
  for (const PathChange& change : TRY(difference(order.from, order.start))) {
    const auto back = wanted.find(change.path);
    // Gone, as it is on the way back to what it was: an uncommit that was cut short.
    const bool is_on_the_way = !change.after.exists() && back != wanted.end() &&
                               back->second.type() != change.before.type();
    if (!is_on_the_way) since[change.path] = change.after;
  }
  for (const HostDrift& drift : TRY(store().drift(import.id, false))) since[drift.path] = drift.now;
  std::erase_if(hit, [&](const PathChange& change) { return !is_hit(change, since); });
  if (hit.empty()) return ok();
  return fail(EBUSY,
              "{}: not known to be what the commit left there: {}; nothing was written. `rebase` "
              "looks at it, and once it is that again, `uncommit` takes it back",
              import.source, text::shown_some(paths_of(hit)));
}

Status Imports::check_not_drifted(const Import& import, const std::vector<std::string>& paths) {
  std::vector<std::string> drifted;
  for (const HostDrift& drift : TRY(store().drift(import.id, paths))) drifted.push_back(drift.path);
  if (drifted.empty()) return ok();
  return refuse_drift(import.source, drifted);
}

std::string Imports::unremoved_note(std::uint32_t id) const {
  return fmt::format("{}/unremoved/{}", kernel_.parts().state, id);
}

bool Imports::is_empty(const Import& import) const {
  const auto top = forest().tree(paths::name_of(import.root));
  if (!top) return false;
  const auto names = names_in(forest(), *top->node);
  return names && names->empty();
}

Status Imports::check_not_emptied(const Import& import) const {
  const std::string note = unremoved_note(import.id);
  if (!file::exists(note)) return ok();
  TRY(file::remove(note));
  if (!is_empty(import)) return ok();
  return fail(EBUSY,
              "{}: is empty, and its removal was refused; nothing was removed in {}. `rmdir` "
              "removes it from here alone; `commit` once more removes what the directory has",
              import.root, import.source);
}

// Once it is made there it must be told here, and the hidden tree have it.
Status Imports::check_room_for(const Import& import, const ImportOrder& order,
                               const std::vector<PathChange>& changes) const {
  const TreeNodeRef wanted = TRY(forest().snapshot_root(order.to));
  std::uint64_t needed = 0;
  for (const PathChange& change : changes) {
    needed += kRoomOfName;
    const bool has_bytes = change.content || !change.before.exists();
    if (!has_bytes || !change.after.is_regular()) continue;
    const auto file = find_in_tree(forest(), wanted, change.path);
    const auto size = static_cast<std::uint64_t>(change.after.size);
    const auto held = file ? static_cast<std::uint64_t>(held_by(file->attributes)) : size;
    needed += whole_blocks(std::min(held, size));  // without holes
  }
  const Status room = check_disk_room(kernel_.parts().state, needed, changes.size() * kFilesOfName);
  if (room) return ok();
  return fail(room.error().code, "{}: {}; nothing was written to {}", order.operation,
              room.error().message, import.source);
}

// What the directory holds is copied first wherever it goes: versions, checkpoints and uncommit
// read it.
Status Imports::begin(const Import& import, const ImportOrder& order) {
  const auto changes = TRY(changes_of(order));
  const auto paths = paths_of(changes);
  TRY(check_not_drifted(import, paths));
  const auto kept = TRY(store().keep(import.id, paths));
  if (!kept.lost.empty()) return refuse_drift(import.source, kept.lost);
  TRY(check_room_for(import, order, changes));
  return store().mark(import.id, order.note());
}

// What was made in the directory, a row each.
Status Imports::tell(const Caller& caller, const Import& import, const ImportOrder& order,
                     const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    TreeChange row{.operation = order.operation, .path = fmt::format("{}/{}", import.root, path)};
    json::Value told;
    json::set_bytes(told, "host", fmt::format("{}/{}", import.source, path));
    row.details = std::move(*told.object());
    TRY(kernel_.record_change(caller, row));
  }
  return ok();
}

// The hidden tree has their names' own modes still, as the workspace does. Of `changes`, those that
// others changed again since.
Status Imports::take_over(const Caller& caller, const Import& import, const ImportOrder& order,
                          const HostWritten& made, std::vector<HostChange> changes) {
  std::vector<std::string> paths;
  for (const HostDrift& one : made.drifts) paths.push_back(one.path);
  std::erase_if(changes, [&](const auto& one) { return !made.overtaken.contains(one.path); });
  const auto noted = [&]() -> Status {
    TRY(store().record(import.id, made.links));
    TRY(refresh(import, made.drifts, std::move(changes)));
    return tell(caller, import, order, paths);
  }();
  if (noted) return ok();
  return fail(noted.error().code,
              "{}; {} made in {} before that, which the next {} there or start of the daemon notes",
              noted.error().message, text::counted(paths.size(), "change"), import.source,
              order.operation);
}

// The hidden tree and the journal get what has come to be in the directory, be it all or a part.
Result<Imports::Outcome> Imports::carry_out(const Caller& caller, const Import& import,
                                            const ImportOrder& order) {
  const TreeSide from{&forest(), TRY(forest().snapshot_root(order.start))};
  const TreeSide to{&forest(), TRY(forest().snapshot_root(order.to))};
  auto changes = TRY(host_changes(from, to, TRY(changes_of(order)), !order.is_commit()));
  std::vector<std::string> lost_set_id;
  for (const HostChange& one : changes) {
    if (one.lost_set_id) lost_set_id.push_back(one.path);
  }
  const auto left = store().write(import.id, changes);
  const HostWritten made = TRY(store().written(import.id, changes));
  TRY(take_over(caller, import, order, made, std::move(changes)));
  const std::size_t count = made.drifts.size();
  TRY(end(import, order, order.is_commit() ? count != 0 : !left));
  const std::vector<std::string> overtaken(made.overtaken.begin(), made.overtaken.end());
  const std::string since =
      overtaken.empty() ? ""
                        : fmt::format("changed there again since, which `rebase` takes over: {}",
                                      text::shown_some(overtaken));
  if (left) {
    Outcome done{.changes = count};
    if (!left->empty()) {
      done.note =
          fmt::format("left there, with the directories it is in: {}\n", text::shown_some(*left));
    }
    if (!since.empty()) done.note += since + "\n";
    if (!lost_set_id.empty()) {
      done.note += fmt::format("without set-user-id and set-group-id there: {}\n",
                               text::shown_some(lost_set_id));
    }
    return done;
  }
  return fail(left.error().code, "{}{}{}{}", left.error().message, since.empty() ? "" : "; ", since,
              count != 0 && order.is_commit() ? "; `uncommit` takes back what was made" : "");
}

// The mark goes before the states that are not needed without it.
Status Imports::end(const Import& import, const ImportOrder& order, bool leaves_something) {
  const bool is_commit = order.is_commit();
  const std::string label =
      is_commit ? committed_label(order.start)
                : uncommitted_label(order.start,
                                    leaves_something ? std::nullopt : std::optional(order.from));
  if (!is_commit || leaves_something) {
    const SnapshotId after = TRY(forest().snapshot(import.tree, label));
    for (const SnapshotInfo& one : states_of(import)) {
      if (one.label == label && one.id != after) drop(one.id);  // of an end that was cut short
    }
  }
  TRY(store().unmark(import.id));
  if (!is_commit) {
    drop_uncommitted(import);
    return ok();
  }
  drop(order.to);
  if (!leaves_something) drop(order.start);
  return ok();
}

void Imports::drop(SnapshotId state) {
  const Status dropped = forest().drop(state);
  if (dropped || dropped.error().code == ENOENT) return;
  log::warning("import: a state is kept for nothing: {}", dropped.error().message);
}

Result<std::string> Imports::commit(const Caller& caller, const std::string& root) {
  const ImportTurn turn(kernel_.conflicts(), root);
  TRY(turn.check());
  const Import import = TRY(get(caller, root));
  TRY(end_half_done(import));
  TRY(kernel_.merges().end_half_done(root));  // of a fork
  TRY(kernel_.merges().check_resolved(root, path_of(import.tree)));
  TRY(check_not_emptied(import));
  const Hold held = TRY(kernel_.paths().begin_snapshot(root));
  ImportOrder order{.operation = "commit", .by = StoredCaller::of(caller)};
  order.start = TRY(forest().snapshot(import.tree, kOrderStart));
  order.from = order.start;
  order.to = TRY(forest().snapshot(paths::name_of(root), kOrderWanted));
  if (Status begun = begin(import, order); !begun) {
    drop(order.start);
    drop(order.to);
    return std::unexpected(std::move(begun).error());
  }
  const Outcome done = TRY(carry_out(caller, import, order));
  return fmt::format("{} made in {}{}\n{}", text::counted(done.changes, "change"), import.source,
                     done.changes == 0 ? "" : "; `uncommit` takes back what it made", done.note);
}

Result<std::string> Imports::uncommit(const Caller& caller, const std::string& root) {
  const ImportTurn turn(kernel_.conflicts(), root);
  TRY(turn.check());
  const Import import = TRY(get(caller, root));
  TRY(end_half_done(import));
  const auto info = kernel_.forks().info_of(path_of(import.tree));
  const auto last = info ? last_commit(*info) : std::nullopt;
  if (!last)
    return fail(ENOENT, "{}: no commit to {} is left that could be taken back; `commit` makes one",
                root, import.source);
  ImportOrder order{.operation = "uncommit",
                    .from = last->after,
                    .to = last->before,
                    .by = StoredCaller::of(caller)};
  order.start = TRY(forest().snapshot(import.tree, kOrderStart));
  Status begun = check_still_there(import, order);
  if (begun) begun = begin(import, order);
  if (!begun) {
    drop(order.start);
    return std::unexpected(std::move(begun).error());
  }
  const Outcome done = TRY(carry_out(caller, import, order));
  return fmt::format("{} taken back in {}; {} is as it was\n{}",
                     text::counted(done.changes, "change"), import.source, root, done.note);
}

// Again from where it began: what it has made is found so. Where the directory is something else
// by now, it stays cut short, and the journal says so.
Status Imports::end_order(const Import& import, const ImportOrder& order) {
  TRY(store().go_back(import.id));
  drop(TRY(forest().rollback(import.tree, order.start, kUndone)));
  const Caller caller = order.by.caller(kernel_);
  const auto done = carry_out(caller, import, order);
  if (done) return ok();
  if (store().marked(import.id)) return std::unexpected(done.error());
  log::warning("{}: {} was cut short and could not be ended: {}", import.root, order.operation,
               done.error().message);
  TreeChange row{.operation = order.operation, .path = import.root};
  row.details.emplace_back("unfinished", done.error().message);
  return kernel_.record_change(caller, row);
}

// States of orders that were never given, or are over, and that a crash left.
void Imports::drop_leftovers(const Import& import) {
  const std::vector<SnapshotInfo> of_tree = states_of(import);
  for (const SnapshotInfo& one : of_tree) {
    const bool is_needed =
        std::ranges::find(of_tree, std::optional(one.id), order_start) != of_tree.end();
    if (one.label == kOrderStart && !is_needed) drop(one.id);
  }
  const auto info = kernel_.forks().info_of(import.root);
  for (const SnapshotInfo& one : info ? info->snapshots : std::vector<SnapshotInfo>()) {
    if (one.label == kOrderWanted && !one.hidden) drop(one.id);
  }
}

}  // namespace agentfs
