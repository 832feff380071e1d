// SPDX-License-Identifier: MIT
// Users and groups, as the host knows them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace agentfs {

// An entry of the user database. A value.
struct HostUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
};

// These read the user database, which may be files or a service: not under a lock. Threads: all.
std::optional<HostUser> find_user(uid_t uid);
std::optional<HostUser> find_user(const std::string& name);
// The supplementary groups that a login gives, `gid` among them.
std::vector<gid_t> login_groups(const HostUser& user, gid_t gid);
// Those of a process or thread of the host; none where it has ended.
std::vector<gid_t> groups_of_process(pid_t pid);
// Its effective capabilities, bit N for number N of capabilities(7): none where it has ended, acts
// as another user by now, or has them in another user namespace, where they are of less.
std::uint64_t capabilities_of_process(pid_t pid, uid_t uid);

}  // namespace agentfs
