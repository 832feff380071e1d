// SPDX-License-Identifier: MIT
// By how much a change makes a tree grow, and what each user holds in it. A value.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>

#include "base/blocks.h"

namespace agentfs {

class Growth {
 public:
  // Less than 0: it shrinks.
  struct Amount {
    std::int64_t bytes = 0;  // that the disk gives: holes are free
    std::int64_t inodes = 0;
    Amount& operator+=(const Amount& more) {
      bytes += more.bytes;
      inodes += more.inodes;
      return *this;
    }
    friend bool operator==(const Amount&, const Amount&) = default;
  };

  void add(uid_t owner, const Amount& more) {
    whole_ += more;
    users_[owner] += more;
  }
  void add(const struct stat& inode) { add(inode.st_uid, {held_by(inode), 1}); }
  void subtract(const struct stat& inode) { add(inode.st_uid, {-held_by(inode), -1}); }

  const Amount& whole() const { return whole_; }
  const std::map<uid_t, Amount>& users() const { return users_; }

 private:
  Amount whole_{};
  std::map<uid_t, Amount> users_{};
};

}  // namespace agentfs
