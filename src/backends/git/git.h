// SPDX-License-Identifier: MIT
// Turn commits by libgit2, into the workspace's own repository or into one beside it.
#pragma once

#include <ctime>
#include <memory>

#include "backends/repo.h"

namespace agentfs {

// Where the worktree's .git cannot be used (none, no directory, half made by a clone under way, of
// a kind that libgit2 does not know, or with parts that lie outside or on a FUSE mount), commits go
// to TurnCommit::git_directory; nothing is made in the worktree then.
//
// What is recorded is what `git add` would: mode bits, links as links, line endings as the user's
// attributes say (of the files; not of the index), a nested repository as its commit. What
// is ignored is in where git tracks it: by the base, and by the user's index; of a checkpoint
// its order says what is ignored. Left out, with a warning in the log: what cannot be read, names
// that git refuses, files beyond 256 MiB. Settings count where they are the repository's: those of
// the system and of a user are not read. Objects are durable before the ref points at them.
//
// Threads: all; calls for one repository, or for one ref, must not overlap.
// A ref's lock from before `locks_from` was left by a program that was killed, and is removed.
// Errors: EINVAL for a path that leaves the worktree, a bad ref name, a .gitignore or part of .git
// that is no plain file or too large; EBUSY while another program holds the ref's lock, ESTALE when
// it moved the ref meanwhile; EBADMSG for a damaged repository; the disk's own.
Result<std::unique_ptr<Repository>> open_git(std::time_t locks_from = std::time(nullptr));

}  // namespace agentfs
