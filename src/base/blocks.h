// SPDX-License-Identifier: MIT
// The pieces in which disks give room to files.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/error.h"

namespace agentfs {

inline constexpr std::uint64_t kBlock = 4096;  // bytes

// As many bytes as the blocks have that so many bytes take.
constexpr std::uint64_t whole_blocks(std::uint64_t bytes) {
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

// What an inode takes of the disk, without its holes.
inline std::int64_t held_by(const struct stat& inode) {
  constexpr std::int64_t kUnit = 512;  // of st_blocks, whatever the disk's blocks are
  return std::int64_t{inode.st_blocks} * kUnit;
}

// Whether a file with bytes may be one hole: attributes, which may need a block of their own, count
// with the blocks.
inline bool may_be_hole(const struct stat& file) {
  constexpr std::int64_t kLongestBlock = std::int64_t{64} << 10;
  return file.st_size != 0 && held_by(file) <= kLongestBlock;
}

// What a name and a row of the journal that tells of it take at most, as a rule.
inline constexpr std::uint64_t kRoomOfName = 1024;  // bytes

// A name that changes makes as many files, at most, as a rule: itself, what is kept of it, and the
// directories that a checkpoint keeps on the way to it.
inline constexpr std::uint64_t kFilesOfName = 4;

// Whether what a directory's disk has once given a file stays that file's, so that a change of a
// mapped page never lacks room (SIGBUS). Disks that write elsewhere what is changed need new room.
bool keeps_blocks(const std::string& directory);

// ENOSPC, with both figures, where the disk that the directory is on has not so many bytes and
// files for us, and some for the journal, the store and directories beside. Nothing of it is held.
Status check_disk_room(const std::string& directory, std::uint64_t needed, std::uint64_t files);

}  // namespace agentfs
