// SPDX-License-Identifier: MIT
// What differs between a tree and what it was forked from, or its newest checkpoint.
#include "base/git_quoted.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/paths.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// What a rollback keeps is for undoing it: somebody's own checkpoint goes before it.
std::optional<SnapshotId> newest_of(const std::vector<SnapshotInfo>& checkpoints) {
  if (checkpoints.empty()) return std::nullopt;
  const auto own =
      std::ranges::find_if(checkpoints.rbegin(), checkpoints.rend(),
                           [](const SnapshotInfo& one) { return !is_undo(one.label); });
  return own == checkpoints.rend() ? checkpoints.back().id : own->id;
}

// What is in it is not known to have changed, nor not to have.
std::string closed_line(const std::string& path) {
  return fmt::format("# {}/: may not be looked into, even by its owner\n", git_quoted(path));
}

}  // namespace

Result<Forks::Comparison> Forks::comparison(const Caller& caller, const std::string& root) const {
  TRY(kernel_.history().may_see(caller, root));
  // What is in mappings is to be seen, where it can be.
  (void)kernel_.paths().begin_snapshot(root);
  Forest& forest = *TRY(forest_of(root));
  Comparison result;
  if (TreeNodeRef directory = kernel_.imports().base(root)) {
    result.before = {&forest, std::move(directory)};
    result.after = {&forest, TRY(forest.tree(paths::name_of(root))).node};
    result.how = options(forest);
    result.how.git = CompareOptions::GitDirectories::hidden;
    result.how.attributes = false;  // the host's are not shown
    return result;
  }
  std::optional<SnapshotId> base = base_of(root);
  if (!base) base = newest_of(checkpoints(root));
  if (!base) return result;
  result.before = {&forest, TRY(forest.snapshot_root(*base))};
  result.after = {&forest, TRY(forest.lookup(*forest.root(), paths::name_of(root))).node};
  result.how = options(forest);
  return result;
}

Result<std::string> Forks::status(const Caller& caller, const std::string& root) const {
  Comparison sides = TRY(comparison(caller, root));
  if (sides.before.root == nullptr) {
    return std::string("# nothing to compare with: no fork, and no checkpoint yet\n");
  }
  const TreeComparer& comparer = *kernel_.parts().comparer;
  std::string closed;
  sides.how.closed = [&](const std::string& path) { closed += closed_line(path); };
  const auto changes = TRY(comparer.changes(sides.before, sides.after, sides.how));
  return comparer.status(changes) + closed + TRY(kernel_.imports().drift(root));
}

Status Forks::diff(const Caller& caller, const std::string& root,
                   const TreeComparer::Sink& sink) const {
  Comparison sides = TRY(comparison(caller, root));
  if (sides.before.root == nullptr) return ok();
  const TreeComparer& comparer = *kernel_.parts().comparer;
  std::string others;
  sides.how.closed = [&](const std::string& path) { others += closed_line(path); };
  auto changes = TRY(comparer.changes(sides.before, sides.after, sides.how));
  const auto may_read = [&](const TreeSide& side, const std::string& path) {
    if (path.empty()) return true;  // that side has nothing
    const auto entry = find_in_tree(*side.store, side.root, path);
    return !entry || kernel_.history().may_read(caller, entry->attributes);
  };
  std::erase_if(changes, [&](const PathChange& change) {
    if (may_read(sides.before, change.from) && may_read(sides.after, change.path)) return false;
    others += fmt::format("# {}: not this caller's to read\n", git_quoted(change.path));
    return true;
  });
  if (!others.empty()) TRY(sink(others));
  return comparer.diff({sides.before, sides.after, &changes, sides.how}, sink);
}

CompareOptions Forks::options(Forest& forest) {
  CompareOptions options;
  options.same = [&forest](const TreeEntry& before, const TreeEntry& after) {
    return before.node->type() == S_IFDIR && after.node->type() == S_IFDIR &&
           forest.is_same(*before.node, *after.node);
  };
  options.differing = [&forest](const TreeNode& before, const TreeNode& after) {
    return forest.names_that_differ(before, after);
  };
  options.lasting_inodes = true;
  options.attributes = true;
  return options;
}

}  // namespace agentfs
