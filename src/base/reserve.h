// SPDX-License-Identifier: MIT
// Space kept back for what must still be told, and for what makes room, when the disk is full.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/mutex.h"

namespace agentfs {

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

// One for changes that make room, such as a removal, and may need some before that. Threads: all.
class SharedReserve {
 public:
  // "": none.
  explicit SharedReserve(std::string path) : exists_(!path.empty()), reserve_(std::move(path)) {}
  bool exists() const { return exists_; }
  void fill();
  // What change() gives, a Result; as long as it finds the disk full, again with a piece more of
  // what is kept back. What fails has not happened.
  template <class Change>
  auto use(const Change& change) -> decltype(change()) {
    auto done = change();
    const auto is_full = [&] { return !done && Reserve::is_full(done.error().code); };
    if (!is_full()) return done;
    while (is_full() && release()) done = change();
    fill();
    return done;
  }

 private:
  bool release();

  const bool exists_;
  Mutex<Rank::store> mutex_;
  Reserve reserve_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
