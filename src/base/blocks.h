// SPDX-License-Identifier: MIT
// The pieces in which disks give room to files.
#pragma once

#include <cstdint>

namespace agentfs {

inline constexpr std::uint64_t kBlock = 4096;  // bytes

// As many bytes as the blocks have that so many bytes take.
constexpr std::uint64_t whole_blocks(std::uint64_t bytes) {
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

}  // namespace agentfs
