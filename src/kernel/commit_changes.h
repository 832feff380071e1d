// SPDX-License-Identifier: MIT
// What a commit has to look at beside the changes that were told.
#pragma once

#include <string>
#include <vector>

#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// Of changes below the root of a tree, as noted_change() notes them, with what follows from them:
// - every name of a file that has several, of which a change is told by one; also of one that is
//   gone, by what the tree was at `before`, which may be null;
// - what a changed .gitignore has left out at `before` and does not by now; where that is null its
//   directory is in `unignored`, of which all is in that no commit has;
// - all below a directory whose repository is gone, or whose .gitattributes has changed;
// - the .git of each submodule (kernel/submodules.h).
// Other names are looked for in the whole tree, until all are found. Threads: all. Errors: the
// store's.
Status complete_changes(TreeStore& store, const TreeNodeRef& root, const TreeNodeRef& before,
                        std::vector<std::string>& changed, std::vector<std::string>& unignored);

}  // namespace agentfs
