// SPDX-License-Identifier: MIT
// The mtimes of what a merge brings. What goes by them, as make does, is to build again what was
// built of a file that a merge has replaced, and nothing to count as built of what came with it:
//
// - A file that takes the place of one that ours had is `fresh`: its mtime is of the end of the
//   merge, later than of all that ours had and than of what was built while the merge went on.
//   Several have theirs in the order in which those of theirs were.
// - What ours had not is as old as in theirs; what keeps ours' bytes as old as in ours. Of a
//   directory that is said once all is in it.
#pragma once

#include <vector>

#include "backends/compare/record.h"
#include "backends/merge.h"

namespace agentfs::compare {

bool is_fresh(const MergeAction& action);
// Of a file or directory that is not, when it is put in its place.
std::int64_t time_of_kept(const MergeAction& action);
Status set_modified(TreeStore& store, const TreeNode& file, std::int64_t modified);

// A step that puts something fresh in its place, and the mtime that theirs has of it.
struct Fresh {
  MergeStep* step = nullptr;
  std::int64_t theirs = 0;
};
// Times of now for what lies ready in `staging`, so that its order is right from the first.
Status stamp(TreeStore& store, const TreeNode& staging, std::vector<Fresh> all);
// As TreeMerger's.
Result<std::vector<TreeNodeRef>> freshen_steps(const TreeSide& ours, const MergeRecord& record,
                                               const TreeMerger::Exchange& exchange);

}  // namespace agentfs::compare
