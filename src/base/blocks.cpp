// SPDX-License-Identifier: MIT
#include "base/blocks.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/file.h"

namespace agentfs {
namespace {

constexpr std::uint64_t kBeside = std::uint64_t{256} << 10;  // bytes
constexpr std::uint64_t kFilesBeside = 32;

// What a disk keeps for root it counts as free, and with it what it keeps for itself (ext4). So it
// is asked for that much, and given it back; where it cannot be asked, the figure counts.
bool can_have(const std::string& directory, std::uint64_t bytes) {
  const UniqueFd file(::open(directory.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (!file) return errno != ENOSPC;
  return ::fallocate(file.get(), 0, 0, static_cast<off_t>(bytes)) == 0 || errno != ENOSPC;
}

}  // namespace

bool keeps_blocks(const std::string& directory) {
  // btrfs, bcachefs, f2fs, nilfs2 and ZFS, as statfs(2) tells them.
  constexpr auto kWriteElsewhere =
      std::to_array<std::uint32_t>({0x9123683E, 0xCA451A4E, 0xF2F52010, 0x3434, 0x2FC12FC1});
  struct statfs disk{};
  return ::statfs(directory.c_str(), &disk) == 0 &&
         std::ranges::find(kWriteElsewhere, static_cast<std::uint32_t>(disk.f_type)) ==
             kWriteElsewhere.end();
}

Status check_disk_room(const std::string& directory, std::uint64_t needed, std::uint64_t files) {
  struct statvfs disk{};
  if (::statvfs(directory.c_str(), &disk) != 0) return fail_errno(directory);
  const bool counts_files = disk.f_files != 0;  // btrfs makes as many as it has room for
  const std::uint64_t may_be_made = ::geteuid() == 0 ? disk.f_ffree : disk.f_favail;
  if (counts_files && may_be_made < files + kFilesBeside) {
    return fail(ENOSPC,
                "{} files may have to be made on the disk of the state, which has room for {}",
                files + kFilesBeside, may_be_made);
  }
  const std::uint64_t whole = needed + kBeside;
  const std::uint64_t for_all = disk.f_bavail * disk.f_frsize;
  if (whole <= for_all) return ok();
  const std::uint64_t left = ::geteuid() == 0 ? disk.f_bfree * disk.f_frsize : for_all;
  if (whole > left) {
    return fail(ENOSPC, "{} bytes are needed on the disk of the state, which has {}", whole, left);
  }
  if (can_have(directory, whole)) return ok();
  return fail(ENOSPC, "{} bytes are needed on the disk of the state, which has less for files",
              whole);
}

}  // namespace agentfs
