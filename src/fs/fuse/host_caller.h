// SPDX-License-Identifier: MIT
// Who a request of the host's kernel comes from, read from the host's /proc while it is held.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/file.h"
#include "base/mutex.h"
#include "fs/vfs/services.h"

namespace agentfs::fuse {

// fuse_req_ctx gives a thread id. Its thread group, login session and pid namespace are looked up
// once and kept while its /proc/<tid>/comm can be read by the descriptor that was opened then,
// which is that of no other thread that gets the number later. Its command name and session are
// read each time, since exec(2) and setsid(2) change them. Threads: all.
class CallerResolver {
 public:
  // pid 0, or one that has gone: what is known is uid and gid alone.
  // `with_child`: HostCaller::child, too.
  HostCaller resolve(pid_t thread, uid_t uid, gid_t gid, bool with_child = false);
  // The thread group alone, of one that has been looked up without a look; 0: not known. The number
  // of a thread that has ended may have been another's.
  pid_t group_of(pid_t thread);

 private:
  struct Known {
    std::shared_ptr<const UniqueFd> name;  // /proc/<tid>/comm
    pid_t session_id = 0;
    pid_t group = 0;
    std::string session;
    std::uint64_t pid_namespace = 0;
    std::optional<pid_t> child{};  // where it has been asked for: it stays what it is
  };
  static constexpr std::size_t kLimit = 256;  // of descriptors
  static constexpr std::size_t kLeaders = 4096;
  std::string session_key(pid_t session, pid_t group);
  std::shared_ptr<const Known> find(pid_t thread);
  std::shared_ptr<const Known> keep(pid_t thread, std::shared_ptr<const Known> fresh);
  std::shared_ptr<const Known> look_up(pid_t thread, std::shared_ptr<const UniqueFd> name);

  Mutex<Rank::object> mutex_;
  std::unordered_map<pid_t, std::shared_ptr<const Known>> known_ GUARDED_BY(mutex_);
  // When the leaders of sessions started, for what their session does after they have ended.
  std::unordered_map<pid_t, std::uint64_t> leaders_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::fuse
