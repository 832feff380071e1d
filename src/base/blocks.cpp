// SPDX-License-Identifier: MIT
#include "base/blocks.h"

#include <sys/statvfs.h>
#include <unistd.h>

namespace agentfs {

Status check_disk_room(const std::string& directory, std::uint64_t needed) {
  struct statvfs disk{};
  if (::statvfs(directory.c_str(), &disk) != 0) return fail_errno(directory);
  const std::uint64_t blocks = ::geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
  const std::uint64_t left = blocks * disk.f_frsize;
  if (needed <= left) return ok();
  return fail(ENOSPC, "{} bytes are needed and the disk has {}", needed, left);
}

}  // namespace agentfs
