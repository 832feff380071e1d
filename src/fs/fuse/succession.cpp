// SPDX-License-Identifier: MIT
#include "fs/fuse/succession.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

namespace agentfs::fuse {
namespace {

// Of <linux/mount.h>, which older distributions lack in part.
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kMoveEmptyPath = 0x4;
constexpr unsigned kMoveBeneath = 0x200;

bool put_beneath(const std::string& aside, const std::string& mountpoint) {
  const UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, aside.c_str(), kOpenTreeClone | O_CLOEXEC)));
  return tree && ::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, mountpoint.c_str(),
                           kMoveEmptyPath | kMoveBeneath) == 0;
}

}  // namespace

Status succeed(const std::string& aside, const std::string& mountpoint) {
  const bool beneath = put_beneath(aside, mountpoint);
  if (::umount2(mountpoint.c_str(), MNT_DETACH) != 0) return fail_errno(mountpoint);
  if (!beneath && ::mount(aside.c_str(), mountpoint.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno(mountpoint);
  }
  if (::umount2(aside.c_str(), MNT_DETACH) != 0) return fail_errno(aside);
  return ok();
}

}  // namespace agentfs::fuse
