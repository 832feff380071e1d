// SPDX-License-Identifier: MIT
// The newest journal lines about each process.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/ids.h"
#include "base/mutex.h"

namespace agentfs {

// Threads: all. Keeps the last 10,000 lines of a process and at most 64 MiB of all; the oldest go
// first. After a start they come from the journal's last segments.
class EventLines {
 public:
  static constexpr std::size_t kMostLines = 10'000;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;

  void add(ProcessId pid, std::string line);  // with its newline
  std::string text(ProcessId pid) const;      // oldest first
  void forget(ProcessId pid);

 private:
  struct Line {
    std::uint64_t number = 0;
    std::string text;
  };
  void drop_first(std::deque<Line>& lines) REQUIRES(mutex_);

  mutable Mutex<Rank::queue> mutex_;
  std::unordered_map<ProcessId, std::deque<Line>> lines_ GUARDED_BY(mutex_);
  std::deque<std::pair<std::uint64_t, ProcessId>> order_ GUARDED_BY(mutex_);  // of all lines
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace agentfs
