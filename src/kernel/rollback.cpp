// SPDX-License-Identifier: MIT
// Going back to a state of a tree.
#include <algorithm>
#include <ranges>
#include <set>

#include "backends/tree_xattrs.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/git_upkeep.h"
#include "kernel/history_keeper.h"
#include "kernel/import_turn.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/name_rights.h"
#include "kernel/paths.h"
#include "kernel/tree_order.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kMostEvents = 10'000;
constexpr std::string_view kUndo = "undo-";

// "undo-3" where there are undo-1 and undo-2, or forks of these names: `discard` is to know which.
std::string free_label(const std::vector<SnapshotInfo>& all, const Names& forks) {
  for (std::size_t number = 1;; ++number) {
    const std::string label = fmt::format("{}{}", kUndo, number);
    const bool is_taken = std::ranges::count(all, label, &SnapshotInfo::label) != 0 ||
                          std::ranges::count(forks, label) != 0;
    if (!is_taken) return label;
  }
}

// What differs now from a state before, for who watches its directories. Looking for it takes as
// long as there are changes, so others do it.
void announce(const Kernel& kernel, const std::string& root, SnapshotId before) {
  kernel.do_behind_answer([&kernel, root, before] {
    Forest& forest = *kernel.parts().forests.at(paths::top_of(root));
    const auto was = forest.snapshot_root(before);
    const auto now = forest.lookup(*forest.root(), paths::name_of(root));
    if (!was || !now) return;
    std::vector<TreeEvent> events;
    (void)forest.compare(**was, *now->node, [&](const Difference& difference) {
      const TreeNodeRef& node = difference.after ? difference.after : difference.before;
      const auto kind = difference.kind == Difference::Kind::added     ? TreeEvent::Kind::made
                        : difference.kind == Difference::Kind::removed ? TreeEvent::Kind::removed
                        : node->type() == S_IFDIR                      ? TreeEvent::Kind::attributes
                                                                       : TreeEvent::Kind::written;
      events.push_back({kind, fmt::format("{}/{}", root, difference.path), node->type()});
      return events.size() < kMostEvents;
    });
    kernel.paths().refresh(events);
  });
}

bool are_directories(const TreeNodeRef& before, const TreeNodeRef& after) {
  return before && after && before->type() == S_IFDIR && after->type() == S_IFDIR;
}

// The first directory of another that both states have with other attributes than modes and owners,
// or "": an ACL's right that was taken away would be there again. compare() does not look at these.
Result<std::string> anothers_attributes_in(Kernel& kernel, const Caller& caller, Forest& forest,
                                           const TreeNodeRef& before, const TreeNodeRef& after) {
  struct Pair {
    TreeNodeRef before{};
    TreeNodeRef after{};
    std::string path{};
  };
  const auto all = [](std::string_view) { return true; };
  std::vector<Pair> left{{before, after, ""}};
  while (!left.empty()) {
    const Pair pair = std::move(left.back());
    left.pop_back();
    for (const std::string& name : TRY(forest.names_that_differ(*pair.before, *pair.after))) {
      const auto was = forest.lookup(*pair.before, name);
      const auto now = forest.lookup(*pair.after, name);
      if (!was || !now || !are_directories(was->node, now->node)) continue;
      std::string path = path_in(pair.path, name);
      const bool is_own = kernel.history().may_read(caller, was->attributes) &&
                          kernel.history().may_read(caller, now->attributes);
      if (!is_own && xattrs_of(forest, *was->node, all) != xattrs_of(forest, *now->node, all)) {
        return path;
      }
      left.push_back({was->node, now->node, std::move(path)});
    }
  }
  return std::string();
}

// The first of others' files in it, or "". On no stack of calls: it may be as deep as one likes.
std::string anothers_in(Kernel& kernel, const Caller& caller, Forest& forest,
                        const TreeNodeRef& top, const std::string& path) {
  struct Place {
    TreeNodeRef parent{};  // null: `top` itself
    std::string name{};
    std::string path{};
  };
  std::vector<Place> left{{.path = path}};
  while (!left.empty()) {
    const Place place = std::move(left.back());
    left.pop_back();
    const auto entry = place.parent ? forest.lookup(*place.parent, place.name) : TreeEntry{top, {}};
    if (!entry) continue;
    const auto attributes = forest.attributes(*entry->node);
    if (attributes && !kernel.history().may_read(caller, *attributes)) return place.path;
    if (entry->node->type() != S_IFDIR) continue;
    const Names names = names_in(forest, *entry->node).value_or(Names());
    for (const std::string& name : names | std::views::reverse) {
      left.push_back({entry->node, name, fmt::format("{}/{}", place.path, name)});
    }
  }
  return {};
}

// What differs is made or removed where the caller could do so by hand: EACCES.
Status may_name(Kernel& kernel, const Caller& caller, const std::string& root, SnapshotId from) {
  if (kernel.is_ruler(kernel.user_of(caller))) return ok();
  Forest& forest = *TRY(kernel.forks().forest_of(root));
  const auto state = TRY(forest.snapshot_root(from));
  const auto now = TRY(forest.lookup(*forest.root(), paths::name_of(root)));
  NameRights rights(kernel, caller, forest, now.node);
  Status may = ok();
  TRY(forest.compare(*state, *now.node, [&](const Difference& difference) {
    const bool stays = difference.before && difference.after;
    may = stays ? rights.may_reach(difference.path) : rights.may_change(difference.path);
    return may.has_value();
  }));
  return may;
}

// What git removes after it has packed it would go from a tree that has no such pack.
Status check_not_packed(Forest& forest, const std::string& root) {
  const TreeNodeRef top = TRY(forest.tree(paths::name_of(root))).node;
  const auto process = packing_process(forest, top);
  if (!process) return ok();
  return fail(EBUSY,
              "{}: `git gc` packs its repository (process {} of the host), and would remove from "
              "what comes back what it has packed in what goes; roll back when that has ended",
              root, *process);
}

std::unexpected<Error> not_made(const std::string& root, const std::string& name,
                                const Error& why) {
  if (why.code != ENOSPC && why.code != EDQUOT) return std::unexpected(why);
  return fail(why.code,
              "{}: is not taken back to {}, for which the disk of the state has no room ({}); the "
              "same again would do when removed files or `discard` of checkpoints and forks have "
              "made some",
              root, text::shown(name), why.message);
}

std::unexpected<Error> not_told(const std::string& root, const std::string& name,
                                const std::string& undo, const Error& why, bool is_noted) {
  return fail(why.code,
              "{}: is as it was at {}, but its journal could not be told of that ({}); it is told "
              "before whatever is done with the whole tree next, by this daemon{}; `rollback {}` "
              "undoes it",
              root, text::shown(name), why.message,
              is_noted ? " or the next start" : " alone, since it could not be noted for a start",
              undo);
}

// All of it that may be refused comes before the trees change places.
Result<std::string> go_back(Kernel& kernel, const Caller& caller, const std::string& root,
                            const SnapshotInfo& target) {
  const Forks forks = kernel.forks();
  Forest& forest = *TRY(forks.forest_of(root));
  const std::string& name = target.label;
  const std::string undo = free_label(forks.checkpoints(root), forks.descendants(root));
  TreeChange row{.operation = "rollback", .path = root};
  row.details = {{"name", name}, {"state", shown(target.id)}, {"undo", undo}};
  StoredOrder order = begin_tree_order(kernel, caller, row);
  Status is_ready = kernel.imports().keep_base(root, undo);
  if (is_ready) is_ready = kernel.imports().go_back_to(root, name, undo);
  if (!is_ready) return not_made(root, name, is_ready.error());
  std::optional<SnapshotId> before;
  Status told = ok();
  // What the state before had is listed when it is over, since until then names may be made.
  const auto replace = [&](Names& gone) -> Status {
    before = TRY(forest.rollback(paths::name_of(root), target.id, undo));
    gone = forks.names_of(root, *before);
    row.details.emplace_back("tops", forks.tops_of(root, gone));
    return ok();
  };
  const auto tell = [&]() -> Status {
    told = kernel.record_change(caller, row);
    return ok();
  };
  auto ended = MergeBases(kernel).forget_with(root, {undo, target.id}, [&] {
    return kernel.between_commits(
        root, [&] { return kernel.paths().replace_tree(root, {replace, tell}); });
  });
  kernel.imports().end_half_done(root);
  if (!told) order.leave();
  if (!ended && !before) return not_made(root, name, ended.error());
  if (!ended) return std::unexpected(std::move(ended).error());
  announce(kernel, root, *before);
  if (!told) return not_told(root, name, undo, told.error(), order.is_noted());
  return fmt::format("{} is as it was at {}; `rollback {}` undoes this\n{}", root, name, undo,
                     note_of_ended(*ended));
}

}  // namespace

bool is_undo(std::string_view label) {
  return label.starts_with(kUndo) && text::number<std::uint64_t>(label.substr(kUndo.size()));
}

// A workspace that was another's then, or a fork of it, would be that one's, with all that is in
// it.
Status Forks::check_owner_then(const Caller& caller, const std::string& root,
                               const SnapshotInfo& target) const {
  const uid_t uid = kernel_.user_of(caller);
  if (kernel_.is_ruler(uid)) return ok();
  Forest& forest = *TRY(forest_of(root));
  const TreeNodeRef state = TRY(forest.snapshot_root(target.id));
  const struct stat was = TRY(forest.attributes(*state));
  if (was.st_uid == uid) return ok();
  return fail(
      EPERM,
      "{}: was uid {}'s at {}, and what comes of that would be that one's again; root or the "
      "mount's owner may go back to it or fork it, and a copy out of .agentfs/snapshots/{} is "
      "yours",
      root, was.st_uid, text::shown(target.label), text::shown(target.label));
}

// Neither looks at the modes of files, and what a rollback takes back can be discarded: of what is
// others' nothing may differ.
Status Forks::check_own(const Caller& caller, const std::string& root, SnapshotId from,
                        std::string_view what) const {
  if (kernel_.is_ruler(kernel_.user_of(caller))) return ok();
  Forest& forest = *TRY(forest_of(root));
  const auto state = TRY(forest.snapshot_root(from));
  const auto now = TRY(forest.lookup(*forest.root(), paths::name_of(root)));
  std::string found;
  TRY(forest.compare(*state, *now.node, [&](const Difference& difference) {
    for (const TreeNodeRef& node : {difference.before, difference.after}) {
      if (!node || !found.empty()) continue;
      found = anothers_in(kernel_, caller, forest, node, difference.path);
    }
    return found.empty();
  }));
  if (found.empty()) {
    found = TRY(anothers_attributes_in(kernel_, caller, forest, state, now.node));
  }
  if (found.empty()) return ok();
  return fail(EPERM,
              "{}: {} is another user's, and would be {}; root or the mount's owner may do it",
              root, text::shown(found), what);
}

std::vector<std::string> Forks::names_of(const std::string& root, SnapshotId state) const {
  const auto forest = forest_of(root);
  if (!forest) return {};
  const auto top = (*forest)->snapshot_root(state);
  return top ? names_in(**forest, **top).value_or(Names()) : Names();
}

json::Array Forks::tops_of(const std::string& root, const std::vector<std::string>& before) const {
  std::set<std::string> tops(before.begin(), before.end());
  if (const auto forest = forest_of(root)) {
    const auto now = (*forest)->lookup(*(*forest)->root(), paths::name_of(root));
    const Names names = now ? names_in(**forest, *now->node).value_or(Names()) : Names();
    tops.insert(names.begin(), names.end());
  }
  json::Array all;
  for (const std::string& top : tops) all.push_back(json::element_of(top));
  return all;
}

Result<std::string> Forks::rollback(const Caller& caller, const std::string& root,
                                    const std::string& name) {
  TRY(may_change(caller, root));
  TRY(kernel_.journal().check_room(false));
  const Hold held = TRY(kernel_.paths().begin_snapshot(root));
  Forest& forest = *TRY(forest_of(root));
  const MergePause of_import(kernel_.conflicts(), import_key(root));
  kernel_.imports().end_half_done(root);
  const MergePause pause(kernel_.conflicts(), root);
  TRY(kernel_.merges().end_before(root));
  const SnapshotInfo target = TRY(find(root, name));
  TRY(check_owner_then(caller, root, target));
  TRY(may_name(kernel_, caller, root, target.id));
  TRY(check_own(caller, root, target.id, "changed by this rollback"));
  TRY(check_not_packed(forest, root));
  return go_back(kernel_, caller, root, target);
}

}  // namespace agentfs
