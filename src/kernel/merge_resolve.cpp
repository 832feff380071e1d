// SPDX-License-Identifier: MIT
// What ends a conflict of a merge.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "backends/tree_xattrs.h"
#include "base/text.h"
#include "kernel/caller_groups.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/ignored_paths.h"
#include "kernel/kernel.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/tracked_paths.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// What a kill leaves taken and still listed is at most this many. All of them are stored each time.
constexpr std::size_t kEndedAtOnce = 100;

std::unexpected<Error> refuse_as_it_is(const std::string& path, const std::string& differs,
                                       std::uint64_t number) {
  return fail(ENOTSUP, "{}: theirs {}; made so by hand, `resolve {} ours` would do", path, differs,
              number);
}

// The bytes alone under the name of ours would take the other name back in theirs, at its merge.
Status check_name(const MergeConflict& conflict, const std::string& path, std::uint64_t number) {
  if (!conflict.is_renamed_by_theirs()) return ok();
  return refuse_as_it_is(path, fmt::format("is named {}", text::shown(conflict.theirs_path)),
                         number);
}

// What is not taken as it is.
Status check_takes_theirs(const MergeConflict& conflict, const std::string& path,
                          std::uint64_t number, mode_t mode) {
  TRY(check_name(conflict, path, number));
  if (S_ISDIR(mode)) return refuse_as_it_is(path, "is a directory", number);
  if (S_ISREG(mode) || S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode)) return ok();
  return refuse_as_it_is(path, "is a device", number);
}

// A directory of ours where a file is to be, or a file on the way to it, is nothing to write over.
Status told_by_hand(Status written, const std::string& path, std::uint64_t number) {
  const bool is_in_the_way =
      !written && (written.error().code == EISDIR || written.error().code == ENOTDIR);
  if (!is_in_the_way) return written;
  return fail(ENOTSUP,
              "{}: ours has something else in its way ({}); with that moved elsewhere this would "
              "do, and made so by hand, `resolve {} ours`",
              path, written.error().message, number);
}

// What there is under a path of the live tree, and no link on the way to it. Nothing: none.
Result<std::optional<TreeEntry>> find_live(Kernel& kernel, const std::string& root,
                                           const std::string& below) {
  Forest& forest = *TRY(kernel.forks().forest_of(root));
  auto found = find_in_tree(forest, TRY(forest.tree(paths::name_of(root))).node, below);
  if (found) return std::optional(*std::move(found));
  if (found.error().code == ENOENT) return std::nullopt;
  return std::unexpected(std::move(found).error());
}

// What ours has in a directory is in no conflict about the directory's mode and attributes.
Status check_empty(Kernel& kernel, const std::string& path, const std::string& root,
                   const TreeNode& directory, std::uint64_t number) {
  Forest& forest = *TRY(kernel.forks().forest_of(root));
  const auto names = TRY(names_in(forest, directory));
  if (names.empty()) return ok();
  return fail(
      ENOTSUP,
      "{}: not empty, and what is in it ({}) is none of this conflict; with that removed or "
      "moved elsewhere this would do, and with the directory kept `resolve {} ours`",
      path, text::shown(names.front()), number);
}

RestoreStep step_of(TreeStore& store, const TreeEntry& theirs, const std::string& path,
                    std::int64_t now) {
  RestoreStep step{.path = path, .mode = theirs.attributes.st_mode};
  step.uid = theirs.attributes.st_uid;
  step.gid = theirs.attributes.st_gid;
  step.modified = now;
  if (!S_ISLNK(step.mode)) step.xattrs = xattrs_of(store, *theirs.node, is_of_file);
  return step;
}

// Of the directories above it those that ours has not, as theirs has them. What is in the way of
// one is told by who makes them.
std::vector<RestoreStep> steps_above(Kernel& kernel, const std::string& root,
                                     const MergeConflicts& all, const MergeConflict& conflict) {
  const TreeSide& theirs = all.sides.theirs;
  std::vector<RestoreStep> steps;
  std::string_view its = text::parent_part(conflict.theirs_path);
  for (std::string_view path = text::parent_part(conflict.path); !path.empty() && !its.empty();
       path = text::parent_part(path), its = text::parent_part(its)) {
    const auto ours = find_live(kernel, root, std::string(path));
    const auto found = find_in_tree(*theirs.store, theirs.root, its);
    const bool is_missing = ours && !*ours;
    if (!is_missing || !found || found->node->type() != S_IFDIR) break;
    steps.push_back(
        step_of(*theirs.store, *found, fmt::format("{}/{}", root, path), kernel.clock().wall()));
  }
  std::ranges::reverse(steps);
  return steps;
}

bool has_directory(const TreeSide& side, std::string_view path) {
  const auto found = find_in_tree(*side.store, side.root, path);
  return found && found->node->type() == S_IFDIR;
}

// Of a directory of ours, which was `former` in the base: whether theirs has removed it.
bool is_removed_by_theirs(const MergeSides& sides, std::string_view path, std::string_view former) {
  if (has_directory(sides.theirs, former) || !has_directory(sides.base, former)) return false;
  if (path == former) return true;
  const bool is_moved = !has_directory(sides.ours, former) && !has_directory(sides.base, path);
  return is_moved && !has_directory(sides.theirs, path);
}

// A directory that theirs has removed goes with the last that was in it, as in a merge.
Status remove_emptied(Kernel& kernel, const Caller& caller, const std::string& root,
                      const MergeConflicts& all, const MergeConflict& last) {
  Forest& forest = *TRY(kernel.forks().forest_of(root));
  std::string_view former = text::parent_part(last.base_path.empty() ? last.path : last.base_path);
  for (std::string_view path = text::parent_part(last.path); !path.empty() && !former.empty();) {
    const auto ours = find_live(kernel, root, std::string(path));
    if (!ours || !*ours || (*ours)->node->type() != S_IFDIR) return ok();
    if (!is_removed_by_theirs(all.sides, path, former)) return ok();
    if (!TRY(names_in(forest, *(*ours)->node)).empty()) return ok();
    const Status removed = kernel.paths().remove(caller, fmt::format("{}/{}", root, path));
    const int code = removed ? 0 : removed.error().code;
    if (code == ENOTEMPTY || code == ENOENT) return ok();  // somebody was faster
    TRY(removed);
    path = text::parent_part(path);
    former = text::parent_part(former);
  }
  return ok();
}

// A repository in the workspace tracks what is in it, or does not.
bool is_in_nested(TreeStore& store, const TreeNodeRef& root, std::string_view path) {
  for (path = text::parent_part(path); !path.empty(); path = text::parent_part(path)) {
    const auto directory = find_in_tree(store, root, path);
    if (directory && store.lookup(*directory->node, ".git")) return true;
  }
  return false;
}

// What .gitignore names, and git does not track all the same on either side.
Result<std::vector<std::uint64_t>> ignored_ones(Kernel& kernel, const std::string& root,
                                                const MergeConflicts& all) {
  IgnoredPaths ignored(kernel);
  const PlacedEntry top = TRY(find_in_mount(kernel, root));
  const TreeSide& other = all.sides.theirs;
  const auto ours = TrackedPaths::read(*top.store, *top.entry.node);
  const auto theirs = TrackedPaths::read(*other.store, *other.root);
  if (const auto& unknown = ours ? theirs : ours; !unknown) {
    return fail(
        ENOTSUP,
        "{}: not known what git tracks there ({}), and that is no product; `resolve N ours` "
        "would do for each",
        root, unknown.error().message);
  }
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, one] : all.left) {
    const bool is_tracked = ours->contains(one.path) || theirs->contains(one.path) ||
                            is_in_nested(*top.store, top.entry.node, one.path);
    if (is_tracked || !ignored.is_ignored(fmt::format("{}/{}", root, one.path))) continue;
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::vector<std::uint64_t>> numbers_of(Kernel& kernel, const std::string& root,
                                              const ConflictChoice& which) {
  if (which.one) return std::vector{*which.one};
  const MergeConflictsRef all = kernel.merges().conflicts(root);
  std::vector<std::uint64_t> numbers;
  if (all != nullptr && which.ignored_alone) {
    numbers = TRY(ignored_ones(kernel, root, *all));
  } else if (all != nullptr) {
    for (const auto& [number, one] : all->left) numbers.push_back(number);
  }
  if (!numbers.empty()) return numbers;
  return fail(ENOENT, "{}: no conflict{}; .agentfs/conflicts lists those there are", root,
              which.ignored_alone ? " of what .gitignore alone names" : "");
}

}  // namespace

// Without markers, or EBUSY.
Result<std::string> Merges::merged(const std::string& root, std::uint64_t number) const {
  const MergeConflict conflict = TRY(find(root, number)).conflict;
  if (conflict.ours_path.empty() || conflict.theirs_path.empty()) {
    return fail(ENOENT,
                "{}/{}: one side has nothing there, and there is nothing to merge; ours or "
                "theirs would do",
                root, conflict.path);
  }
  const auto side = [&](const std::string& path, const char* name) -> Result<std::string> {
    return path.empty() ? std::string() : text(root, number, name);
  };
  const std::string base = TRY(side(conflict.base_path, "base"));
  const std::string ours = TRY(side(conflict.ours_path, "ours"));
  const std::string theirs = TRY(side(conflict.theirs_path, "theirs"));
  TreeMerger::TextMerge merge =
      TRY(kernel_.parts().merger->merge_texts({.base = base, .ours = ours, .theirs = theirs}));
  if (merge.is_clean) return std::move(merge.text);
  return fail(EBUSY,
              "{}/{}: both changed the same lines, and markers are not written; a text of yours in "
              "its place and `resolve {} ours` would do",
              root, conflict.path, number);
}

// Whole, and changed now; in directories that are made as theirs has them.
Status Merges::take_theirs(const Caller& caller, const Found& found, std::uint64_t number,
                           const std::string& path) {
  const auto [store, entry] = TRY(side_of(*found.all, found.conflict, "theirs"));
  const struct stat& theirs = entry.attributes;
  TRY(check_takes_theirs(found.conflict, path, number, theirs.st_mode));
  std::vector<RestoreStep> steps =
      steps_above(kernel_, std::string(text::first_parts(path, 2)), *found.all, found.conflict);
  RestoreStep step = step_of(store, entry, path, kernel_.clock().wall());
  if (S_ISLNK(theirs.st_mode)) step.target = TRY(store.read_link(*entry.node));
  if (S_ISREG(theirs.st_mode)) {
    step.bytes = [&from = store, node = entry.node] {
      return from.open(*node, O_RDONLY, TreeCaller{});
    };
  }
  steps.push_back(std::move(step));
  const Status restored = kernel_.paths().restore(with_groups(kernel_, caller), steps);
  const bool is_lost = !restored && restored.error().code == EBUSY;
  return is_lost ? refuse_lost(path, number, "theirs", restored.error())
                 : told_by_hand(restored, path, number);
}

// A file of an import can have lost its bytes to what its directory did. Gone, it is what ours is.
Status Merges::check_ours_is_whole(const Found& found, std::uint64_t number) {
  const auto ours = side_of(*found.all, found.conflict, "ours");
  if (!ours || !S_ISREG(ours->entry.attributes.st_mode)) return ok();
  const auto file = ours->store.open(*ours->entry.node, O_RDONLY, TreeCaller{});
  const Status whole = file ? (*file)->check_read() : std::unexpected(file.error());
  if (whole || whole.error().code != EBUSY) return ok();
  return refuse_lost(found.conflict.path, number, "ours", whole.error());
}

// Over a file of ours or where there is nothing, and never what a link leads to.
Status Merges::take_merged(const Caller& caller, const Found& found, std::uint64_t number,
                           const std::string& root) {
  const std::string path = fmt::format("{}/{}", root, found.conflict.path);
  TRY(check_name(found.conflict, path, number));
  const auto ours = find_live(kernel_, root, found.conflict.path);
  if (!ours) return told_by_hand(std::unexpected(ours.error()), path, number);
  if (*ours && !S_ISREG((*ours)->attributes.st_mode)) {
    return told_by_hand(fail(ENOTDIR, "{}: no regular file", path), path, number);
  }
  TRY(may_read(caller, root, number, "merged"));
  const std::string text = TRY(merged(root, number));
  return told_by_hand(kernel_.paths().write(caller, path, text), path, number);
}

// What is there no more, or lies behind a link that took the place of a directory, is not ours.
Status Merges::take_removal(const Caller& caller, const Found& found, std::uint64_t number,
                            const std::string& root) {
  const auto ours = find_live(kernel_, root, found.conflict.path);
  if (!ours && ours.error().code != ENOTDIR) return std::unexpected(ours.error());
  if (ours && *ours) {
    const std::string path = fmt::format("{}/{}", root, found.conflict.path);
    if (S_ISDIR((*ours)->attributes.st_mode))
      TRY(check_empty(kernel_, path, root, *(*ours)->node, number));
    const Status removed = kernel_.paths().remove(caller, path);
    if (!removed && removed.error().code != ENOENT) return removed;
  }
  return remove_emptied(kernel_, caller, root, *found.all, found.conflict);
}

// Of one of them; a line about it. By then it may be nobody's: a fork can be discarded meanwhile.
Result<std::string> Merges::take_side(const Caller& caller, const std::string& root,
                                      std::uint64_t number, const std::string& side) {
  const Found found = TRY(find(root, number));
  const std::string path = fmt::format("{}/{}", root, found.conflict.path);
  if (side == "ours") TRY(check_ours_is_whole(found, number));
  Caller named = caller;
  named.path = root + "/.agentfs/ctl";
  const bool removes = side == "theirs" && found.conflict.theirs_path.empty();
  if (removes) {
    TRY(take_removal(caller, found, number, root));
  } else if (side == "theirs") {
    TRY(may_read(caller, root, number, side));
    TRY(take_theirs(named, found, number, path));
  } else if (side == "merged") {
    TRY(take_merged(named, found, number, root));
  }
  return fmt::format("{}: {}\n", text::shown(path), removes ? "removed, as theirs" : side);
}

Result<std::string> Merges::resolve(const Caller& caller, const std::string& root,
                                    const ConflictChoice& which, const std::string& side) {
  TRY(kernel_.history().may_see(caller, root));
  TRY(kernel_.may_change(caller, root));
  if (side != "ours" && side != "theirs" && side != "merged") {
    return fail(EINVAL, "resolve: no side of a conflict ({}); ours, theirs or merged would do",
                text::shown(side));
  }
  const MergePause pause(kernel_.conflicts(), root);
  TRY(end_before(root));
  const auto numbers = TRY(numbers_of(kernel_, root, which));
  std::vector<std::uint64_t> ended;  // and not stored yet
  std::size_t count = 0;
  std::string told;
  Status last = ok();
  for (const std::uint64_t number : numbers) {
    const auto line = take_side(caller, root, number, side);
    last = line ? ok() : std::unexpected(line.error());
    if (!last) break;
    ended.push_back(number);
    ++count;
    told += *line;
    if (ended.size() == kEndedAtOnce) TRY(end_conflicts(root, std::exchange(ended, {})));
  }
  if (!ended.empty()) TRY(end_conflicts(root, ended));
  if (last) return told;
  if (numbers.size() == 1) return std::unexpected(last.error());
  return fail(last.error().code, "{} ({} of {} conflicts were ended before it)",
              last.error().message, count, numbers.size());
}

}  // namespace agentfs
