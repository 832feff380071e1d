// SPDX-License-Identifier: MIT
#include "backends/exec/inside/user.h"

#include <grp.h>
#include <unistd.h>

namespace agentfs::exec {

void become_user(const Spec& spec) {
  if (spec.user.empty()) return;
  if (spec.user.size() < 2) fail_with("user: a uid without a gid", EINVAL);
  const uid_t uid = spec.user[0];
  const gid_t gid = spec.user[1];
  const std::vector<gid_t> groups(spec.user.begin() + 2, spec.user.end());
  // The uid comes last: with it goes the right to set the others.
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(gid, gid, gid) != 0 ||
      ::setresuid(uid, uid, uid) != 0) {
    fail_with("user: cannot become uid " + std::to_string(uid));
  }
}

}  // namespace agentfs::exec
