// SPDX-License-Identifier: MIT
// What lies in a worktree, read without following a link out of it and without touching FUSE.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace agentfs::git {

enum class Kind { none, file, executable, link, directory, other };

// What `name` in a directory is; a link is not followed.
Result<Kind> kind_of(int directory, const std::string& name);
// Opens a directory below another; no link is followed.
Result<UniqueFd> open_directory(int directory, const std::string& name);
// Opens a plain file for reading, without following a link or waiting for a FIFO; ENOENT where it
// is no longer a plain file.
Result<UniqueFd> open_file(int directory, const std::string& name);
// Names in a directory but for ".", ".." and ".git".
Result<std::vector<std::string>> names_in(int directory);
Result<std::string> read_link(int directory, const std::string& name);

// EINVAL where a file of rules in this directory (.gitattributes and, where that `counts`,
// .gitignore) is a FIFO or the like, or a link out of `worktree`: libgit2 would open it, and hang.
// Also where it is larger than kMostRules: libgit2 would have all of it in memory. A directory, or
// a link to one or to nothing, is none to it.
Status check_rules(int worktree, int directory, const std::string& path, bool gitignore_counts);

// Mount point of the FUSE file system that `path`, absolute, lies on by the text of
// /proc/self/mountinfo; "" where it lies on another kind. Names are compared; nothing is opened.
std::string fuse_mount_of(std::string_view mountinfo, std::string_view path);

// Whether the directory has a .git that can be opened: it is there, and no part of it that we would
// follow (a "gitdir:", a common directory, alternates) lies on a FUSE mount that the directory
// itself does not lie on.
Result<bool> has_usable_git(const std::string& directory);
// The same for a worktree whose .git is a directory, where moreover nothing that it borrows lies
// outside the worktree.
Result<bool> borrows_nothing(const std::string& worktree);

// The mounts are those of now from here on: for a process that cannot read them later.
Status keep_mounts();

}  // namespace agentfs::git
