// SPDX-License-Identifier: MIT
// What the process of a commit may do, from then on and for good.
#pragma once

#include "backends/repo.h"

namespace agentfs::git {

// Bounds of memory, of files and of cores. For any moment: it takes nothing that a start needs.
Status limit_resources();

// Files: reading and writing below the worktree, its git directory and the source, nothing else. No
// TCP, no signals outside, and of root's capabilities only those over files. Where the kernel has
// no Landlock, has_own_git()'s look before opening is all there is. ENOENT where one of them is
// missing, EINVAL where it is a link.
Status confine(const TurnCommit& commit);

}  // namespace agentfs::git
