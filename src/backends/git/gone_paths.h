// SPDX-License-Identifier: MIT
// What a commit has and a worktree has not.
#pragma once

#include "backends/git/changes.h"
#include "backends/git/library.h"

namespace agentfs::git {

// Names it in the changes, but for what is left, away, or below a name of either kind. Reads each
// directory of the tree and of the worktree, but for nested repositories; both are borrowed.
Status add_gone_paths(git_repository* repository, const git_tree* tree, const std::string& worktree,
                      Change& changes);

}  // namespace agentfs::git
