// SPDX-License-Identifier: MIT
// Space kept back for what must still be told when the disk is full.
#pragma once

#include <cstdint>
#include <string>

namespace agentfs::segments {

// A file of allocated blocks that is given up piece by piece. Where the file system cannot allocate
// there is no reserve, and that is no error. One half is for what has begun and for what makes
// room, and of that the last quarter for what makes room whatever else holds the bytes: removing a
// file does not where a checkpoint has it. Threads: the owner's lock.
class Reserve {
 public:
  static constexpr std::int64_t kFull = std::int64_t{1} << 20;
  static constexpr std::int64_t kPiece = std::int64_t{64} << 10;

  explicit Reserve(std::string path);
  static bool is_full(int code);  // an errno: of the disk, or of the daemon's share of it

  // Allocates what is missing, as far as there is room.
  void fill();
  // Frees a piece that has room for so many bytes; false where nothing was left.
  bool release(std::size_t bytes);
  std::int64_t size() const { return size_; }
  bool is_low() const { return size_ <= kFull / 8; }
  bool is_ample() const { return !is_possible_ || size_ >= kFull / 2; }

 private:
  bool resize(std::int64_t size);

  const std::string path_;
  std::int64_t size_ = 0;
  bool is_possible_ = true;
};

}  // namespace agentfs::segments
