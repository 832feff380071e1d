// SPDX-License-Identifier: MIT
// Whether a workspace's own repository may be opened: looked at, without following or opening it.
#pragma once

#include <string>

#include "base/error.h"

namespace agentfs::git {

// A file of rules or of settings that is larger is nobody's work.
inline constexpr off_t kMostRules = off_t{1} << 20;

// Whether the worktree's history is kept in its own .git: that is a directory, not a file or a link
// that leads elsewhere; no part of it that is opened by name is a link; and it borrows nothing (a
// common directory, alternates) from outside the worktree. Says in the log why not.
// EINVAL where a part is a FIFO, a socket or a device, or settings are larger than kMostRules.
Result<bool> has_own_git(const std::string& worktree, const std::string& ref);

// Whether a repository may be read by its path: EINVAL where a part of it that is opened by name is
// a link, or as above; EXDEV where it borrows from another, or its
// settings include others.
Status check_bare(const std::string& path);

// Whether git takes the directory's .git for a repository or the way to one: a directory whose HEAD
// names a ref or a commit, or a file that begins with "gitdir: ". Else the .git is nothing, and
// what is beside it are plain files.
bool has_git_in(const std::string& directory);
// Where that .git is a directory: EINVAL as above, so that opening it waits for nobody.
Status check_nested_git(const std::string& directory);

}  // namespace agentfs::git
