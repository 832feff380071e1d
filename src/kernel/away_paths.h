// SPDX-License-Identifier: MIT
// What git's index has and a tree has not, since git keeps it from the worktree.
#pragma once

#include <string>
#include <vector>

#include "backends/repo.h"
#include "backends/tree_store.h"
#include "kernel/tracked_paths.h"

namespace agentfs {

struct AwayNow {
  std::vector<AwayPath> paths{};
  // Directories of these, each away as a whole, that are there with something else in them.
  std::vector<std::string> beside{};
};

// Those of an index's that the tree has not; of a submodule, that is not checked out in its
// directory. Errors: the disk's.
Result<AwayNow> away_in(TreeStore& store, const TreeNodeRef& root,
                        const std::vector<TrackedPaths::Away>& indexed);

}  // namespace agentfs
