// SPDX-License-Identifier: MIT
// What git's index has been told of, and a commit has not.
#pragma once

#include <string>

#include "backends/git/changes.h"
#include "backends/git/library.h"
#include "backends/git/user_index.h"

namespace agentfs::git {

// Names it in the changes, as what `git add -f` took of what was ignored when it was written; where
// it is not in the worktree nothing comes of that. `tree` may be null; all are borrowed. Reads the
// index, and each directory of the tree that the index has something in.
Status add_forced_paths(git_repository* repository, const git_tree* tree,
                        const std::string& worktree, UserIndex& index, Change& changes);

}  // namespace agentfs::git
