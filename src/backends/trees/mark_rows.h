// SPDX-License-Identifier: MIT
// Marks of files that may not be given any.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "backends/trees/marks.h"
#include "base/file.h"
#include "base/mutex.h"

namespace agentfs::trees {

// An append-only file of rows, written anew at a start where some are out of date. The disk gives
// inode numbers again: a row is of the inode of that key; one of a build that knew the number alone
// is of what has it. Threads: all.
class MarkRows {
 public:
  static Result<std::unique_ptr<MarkRows>> open(int directory);
  explicit MarkRows(UniqueFd file) : file_(std::move(file)) {}

  bool empty() const { return count_ == 0; }
  std::optional<FileMark> find(const Spot& spot) const;
  void put(const Spot& spot, const FileMark& mark);
  void forget(const Spot& spot);

 private:
  struct Row {
    InodeKey key{};
    std::uint64_t is_there = 0;
    std::uint64_t id = 0;     // 0: none
    std::uint64_t names = 0;  // 0: no time of change
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
  };
  Status load(int directory);
  Status rewrite(int directory) REQUIRES(mutex_);
  void write(const Row& row);

  UniqueFd file_;
  std::atomic<std::size_t> count_ = 0;
  mutable Mutex<Rank::forest_nodes> mutex_;
  std::map<std::uint64_t, Row> rows_ GUARDED_BY(mutex_);  // by inode
};

}  // namespace agentfs::trees
