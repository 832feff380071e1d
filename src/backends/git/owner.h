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
  // Of the bits S_IRGRP and S_IROTH those that who is not the owner has of it, as an object of the
  // repository: its group is that of the objects.
  mode_t readers_of(const struct stat& what) const;
  // A file or directory that this process made since then below the repository's directory becomes
  // the owner's, if the daemon is root, and loses the bits of reading that are not in `readers`.
  // What is not ours to give, or has another thing's name by now, is left alone.
  void give(const std::string& below, mode_t readers = kAllReaders) const;
  static constexpr mode_t kAllReaders = S_IRGRP | S_IROTH;

 private:
  UniqueFd directory_{};  // O_PATH
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  bool gives_ = false;  // what is made is not theirs by itself
  timespec since_{};
};

}  // namespace agentfs::git
