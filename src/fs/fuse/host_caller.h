// SPDX-License-Identifier: MIT
// Who a request of the host's kernel comes from, read from the host's /proc while it is held.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <unordered_map>

#include "base/mutex.h"
#include "fs/vfs/services.h"

namespace agentfs::fuse {

// fuse_req_ctx gives a thread id. Its thread group, login session and pid namespace are looked up
// once and kept as long as the thread's start time and session say that it is the same thread; its
// command name is read each time, since exec(2) changes it. Threads: all.
class CallerResolver {
 public:
  // pid 0, or one that has gone: what is known is uid and gid alone.
  HostCaller resolve(pid_t thread, uid_t uid, gid_t gid);

 private:
  struct Known {
    std::uint64_t started = 0;
    pid_t session_id = 0;
    pid_t group = 0;
    std::string session;
    std::uint64_t pid_namespace = 0;
  };
  static constexpr std::size_t kLimit = 4096;
  std::string session_key(pid_t session, pid_t group);

  Mutex<Rank::object> mutex_;
  std::unordered_map<pid_t, Known> known_ GUARDED_BY(mutex_);
  // When the leaders of sessions started, for what their session does after they have ended.
  std::unordered_map<pid_t, std::uint64_t> leaders_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::fuse
