// SPDX-License-Identifier: MIT
#include "tree_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "mountpoint.h"

namespace agentfs {
namespace {

// Of <linux/mount.h> and <linux/stat.h>, which older distributions lack in part.
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
constexpr unsigned kMoveEmptyPath = 0x4;
constexpr unsigned kUniqueMountId = 0x4000;  // STATX_MNT_ID_UNIQUE, Linux 6.8

// 0 where there is none. The file system is not asked.
std::uint64_t mount_number(const std::string& path) {
  struct statx found{};
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (::statx(AT_FDCWD, path.c_str(), kFlags, kUniqueMountId, &found) != 0) return 0;
  return (found.stx_mask & kUniqueMountId) != 0 ? found.stx_mnt_id : 0;
}

std::vector<std::string> bound_trees(const std::string& mountpoint) {
  std::vector<std::string> bound;
  for (const std::string_view path : kTreePaths) {
    const std::string place = mountpoint + std::string(path);
    if (is_mounted(place)) bound.push_back(place);
  }
  return bound;
}

}  // namespace

Result<UniqueFd> copy_mounts(const std::string& mountpoint) {
  UniqueFd copy(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, mountpoint.c_str(),
                                           kOpenTreeClone | kRecursive | O_CLOEXEC)));
  if (!copy) return fail_errno(mountpoint);
  return copy;
}

bool has_trees_mounted(const std::string& mountpoint) { return !bound_trees(mountpoint).empty(); }

Status bind_trees(const std::string& from, const std::string& onto) {
  for (std::size_t i = 0; i < kTreePaths.size(); ++i) {
    const std::string tree(kTreePaths[i]);
    if (::mount((from + tree).c_str(), (onto + tree).c_str(), nullptr, MS_BIND, nullptr) == 0) {
      continue;
    }
    auto failed = fail_errno(onto + tree);
    while (i-- > 0) ::umount2((onto + std::string(kTreePaths[i])).c_str(), MNT_DETACH);
    return failed;
  }
  return ok();
}

TreeMounts TreeMounts::of(const std::string& mountpoint) {
  TreeMounts mounts;
  mounts.mountpoint_ = mountpoint;
  for (const std::string& place : bound_trees(mountpoint)) {
    mounts.all_.emplace_back(place, mount_number(place));
  }
  return mounts;
}

void TreeMounts::detach() {
  // A walk to them would hold the mount they lie in, which somebody may be unmounting just now.
  const std::vector<std::string> there = bound_trees(mountpoint_);
  for (const auto& [place, number] : std::exchange(all_, {})) {
    if (std::ranges::find(there, place) == there.end()) continue;
    if (number != 0 && mount_number(place) == number) ::umount2(place.c_str(), MNT_DETACH);
  }
}

TreesTakenAway::~TreesTakenAway() {
  for (const Taken& each : taken_) {
    if (::syscall(SYS_move_mount, each.tree.get(), "", AT_FDCWD, each.path.c_str(),
                  kMoveEmptyPath) != 0) {
      log::error("{}: cannot be mounted again ({})", each.path, errno_name(errno));
    }
  }
}

Result<TreesTakenAway> TreesTakenAway::of(const std::string& mountpoint) {
  TreesTakenAway away;
  for (const std::string& place : bound_trees(mountpoint)) {
    UniqueFd tree(static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, place.c_str(), kOpenTreeClone | O_CLOEXEC)));
    if (!tree) return fail_errno(place);
    if (::umount2(place.c_str(), 0) != 0) return fail_errno(place);
    away.taken_.push_back({place, std::move(tree)});
  }
  return away;
}

}  // namespace agentfs
