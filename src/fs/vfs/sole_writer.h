// SPDX-License-Identifier: MIT
// Who has opened a file whose bytes are acted upon, and who alone writes there.
#pragma once

#include "fs/vfs/node.h"

namespace agentfs::vfs {

// What is written to such a file is done with the rights of who writes it, and a descriptor can be
// passed on: to a program with set-user-id, say, by its standard error. So writing there, and
// ending what was written by a close, is for who has opened it, by user and by group. Threads: all.
class SoleWriter {
 public:
  explicit SoleWriter(const Request& opening)
      : process_(opening.host().pid), uid_(opening.host().uid), gid_(opening.host().gid) {}
  bool is(const Request& request) const {
    return request.host().uid == uid_ && request.host().gid == gid_;
  }
  Status check(const Request& request, const std::string& path) const;  // EPERM
  pid_t process() const { return process_; }
  // A close by the process that has opened it, as who it was then.
  bool closes(const Request& request) const {
    return request.host().pid == process_ && is(request);
  }

 private:
  const pid_t process_;
  const uid_t uid_;
  const gid_t gid_;
};

}  // namespace agentfs::vfs
