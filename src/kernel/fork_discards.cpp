// SPDX-License-Identifier: MIT
// What is discarded of a tree: its forks and checkpoints.
#include <algorithm>

#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/tree_order.h"

namespace agentfs {
namespace {

using Names = std::vector<std::string>;

}  // namespace

Result<std::string> Forks::discard(const Caller& caller, const std::string& root,
                                   const std::string& name) {
  TRY(kernel_.history().may_destroy(caller, root));
  const std::string path = sibling(root, name);
  const auto own = info_of(root);
  const auto its = own && check_name(name) ? info_of(path) : std::nullopt;
  const auto is_below = [&] { return std::ranges::count(descendants(root), name) != 0; };
  if (its && its->base && (its->base->tree == own->number || is_below())) {
    TRY(check_is_one(root, path));
    return discard_fork(caller, root, path, *its);
  }
  TRY(may_change(caller, root));
  const MergePause alone(kernel_.conflicts(), root + "/.agentfs/snapshots");  // of those who ask
  const auto found = find(root, name);
  if (!found) return own ? no_such(root, name) : std::unexpected(found.error());
  const SnapshotInfo& one = *found;
  TreeChange row{.operation = "discard", .path = root};
  row.details = {{"name", name}, {"state", shown(one.id)}};
  const StoredOrder order = begin_tree_order(kernel_, caller, row);
  TRY(with_room([&] { return kernel_.record_change(caller, row); }));
  TRY(drop_checkpoint(root, one));
  return fmt::format("the checkpoint {} of {} is gone\n", name, root);
}

// A directory may have got any name since: of the two the one that cannot come back would go.
Status Forks::check_is_one(const std::string& root, const std::string& fork) const {
  const std::string name = paths::name_of(fork);
  if (std::ranges::count(checkpoints(root), name, &SnapshotInfo::label) == 0) return ok();
  return fail(
      EEXIST,
      "{}: {} has a checkpoint of this name, and {} is a fork of it; nothing was discarded: "
      "with the fork's directory under another name (mv) each can be discarded by its own",
      text::shown(name), root, fork);
}

// On a full disk what was discarded before gives the row of this its room, also where somebody else
// has taken what the journal had given up for it.
Status Forks::with_room(const std::function<Status()>& discard) const {
  if (!kernel_.journal().check_room(true)) kernel_.collect_forests();
  const Status done = discard();
  if (done || done.error().code != ENOSPC) return done;
  kernel_.collect_forests();
  return discard();
}

Result<std::string> Forks::discard_fork(const Caller& caller, const std::string& root,
                                        const std::string& path, const TreeInfo& info) {
  TRY(may_change(caller, path));
  const std::string name = paths::name_of(path);
  for (const ProcessId pid : kernel_.processes()) {
    const ProcessRef process = kernel_.find_process(pid);
    if (process == nullptr || process->state == RunState::dead) continue;
    if (paths::top_of(path) == "/workspaces" && process->workspace == name) {
      return fail(EBUSY, "{}: process {} ({}) works in it; when that is dead it can be discarded",
                  path, pid.value, process->name);
    }
  }
  Forest& forest = *TRY(forest_of(path));
  const MergePause pause(kernel_.conflicts(), path);
  TRY(check_own(caller, path, *info.base, "gone with it"));
  const TreeChange row{.operation = "discard", .path = path, .other = root};
  TreeChange ordered = row;
  ordered.details.emplace_back("tree", info.number);
  const StoredOrder order = begin_tree_order(kernel_, caller, ordered);
  const auto tell = [&] { return kernel_.record_change(caller, row); };
  // Since it was looked at another may have got its name.
  const auto drop = [&](Names&) -> Status {
    const auto now = info_of(path);
    if (now && now->number == info.number) return forest.drop(name, tell);
    return fail(now ? ESTALE : ENOENT,
                "{}: is not what it was when this began, and nothing was discarded; "
                "{}/.agentfs/forks tells what there is",
                path, root);
  };
  TRY(with_room([&] {
    return kernel_.between_commits(path,
                                   [&] { return kernel_.paths().replace_tree(path, {drop}); });
  }));
  const Names ended = TRY(kernel_.merges().forget_conflicts(path, info.number, {}, {}));
  TRY(MergeBases(kernel_).forget_gone());
  return fmt::format("{} is gone\n{}", path, note_of_ended(ended));
}

}  // namespace agentfs
