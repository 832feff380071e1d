// SPDX-License-Identifier: MIT
// The pieces in which disks give room to files.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace agentfs {

inline constexpr std::uint64_t kBlock = 4096;  // bytes

// As many bytes as the blocks have that so many bytes take.
constexpr std::uint64_t whole_blocks(std::uint64_t bytes) {
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

// What a name and a row of the journal that tells of it take at most, as a rule.
inline constexpr std::uint64_t kRoomOfName = 1024;  // bytes

// ENOSPC, with both figures, where the disk that the directory is on has not so many bytes for us.
Status check_disk_room(const std::string& directory, std::uint64_t needed);

}  // namespace agentfs
