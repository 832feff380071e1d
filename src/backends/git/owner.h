// SPDX-License-Identifier: MIT
// Whose a repository is: who may read what a commit has, and gets what root makes there.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <ctime>
#include <string>

#include "base/error.h"
#include "base/file.h"

namespace agentfs::git {

// Of one commit. Threads: one.
class Owner {
 public:
  // `directory`: where refs and objects are.
  static Result<Owner> of(const std::string& directory);

  // By owner, group and mode: the groups that somebody else is in are not known here.
  bool may_read(const struct stat& what) const;
  // A file or directory that this process made since then below the repository's directory, for
  // which the daemon must be root. `closed`: others may not read it. What is not ours to give, or
  // has another thing's name by now, is left alone.
  void give(const std::string& below, bool closed) const;

 private:
  UniqueFd directory_{};  // O_PATH
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  timespec since_{};
};

}  // namespace agentfs::git
