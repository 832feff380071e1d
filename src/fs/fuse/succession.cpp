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
constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
constexpr unsigned kMoveEmptyPath = 0x4;
constexpr unsigned kMoveBeneath = 0x200;

bool put_beneath(const std::string& aside, const std::string& mountpoint) {
  const UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, aside.c_str(), kOpenTreeClone | kRecursive | O_CLOEXEC)));
  return tree && ::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, mountpoint.c_str(),
                           kMoveEmptyPath | kMoveBeneath) == 0;
}

}  // namespace

Status succeed(const std::string& aside, const std::string& mountpoint, bool over_dead) {
  const bool beneath = over_dead && put_beneath(aside, mountpoint);
  if (over_dead && ::umount2(mountpoint.c_str(), MNT_DETACH) != 0) {
    if (errno != EINVAL) return fail_errno(mountpoint);
    // Who took the dead one away in this moment wants nothing to be mounted.
    if (beneath) ::umount2(mountpoint.c_str(), MNT_DETACH);
    return fail(ECANCELED, "{}: was unmounted while its next daemon began", mountpoint);
  }
  if (!beneath &&
      ::mount(aside.c_str(), mountpoint.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return fail_errno(mountpoint);
  }
  if (::umount2(aside.c_str(), MNT_DETACH) != 0) return fail_errno(aside);
  return ok();
}

}  // namespace agentfs::fuse
