// SPDX-License-Identifier: MIT
// How much of the disk a workspace, a home or a user may hold, and how much one holds. Values.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

namespace agentfs {

// 0: no limit. Bytes are those that the disk has given (st_blocks), so that holes are free.
struct Quota {
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;
  bool is_set() const { return bytes != 0 || inodes != 0; }
  friend bool operator==(const Quota&, const Quota&) = default;
};

// Whose: a tree by its path in the mount ("/workspaces/site"), a user by user_subject().
using Quotas = std::map<std::string, Quota>;
inline std::string user_subject(uid_t uid) { return "uid:" + std::to_string(uid); }

// Each inode once, whatever its names. `complete`: all was seen in the time there was.
struct Holding {
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;
  bool complete = true;
  friend bool operator==(const Holding&, const Holding&) = default;
};

}  // namespace agentfs
