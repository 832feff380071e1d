// SPDX-License-Identifier: MIT
// Counters and latencies, written out in the Prometheus text format 0.0.4.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace agentfs {

struct CallCounters {
  std::uint64_t calls = 0;
  std::uint64_t errors = 0;
  std::uint64_t nanoseconds = 0;  // sum
};

// Threads: all.
class Metrics {
 public:
  // agentfs_syscalls_total{name="proc.nice"} and its errors and latency.
  void count_call(std::string_view syscall, bool failed, std::int64_t nanoseconds);
  CallCounters call(std::string_view syscall) const;
  // A counter of its own: count("agentfs_fuse_operations_total", "operation=\"lookup\"").
  void count(std::string_view metric, std::string_view labels, std::uint64_t by = 1);
  // What is no counter but a state: its name does not end in _total.
  void set(std::string_view metric, std::string_view labels, std::uint64_t value);
  std::uint64_t value(std::string_view metric, std::string_view labels) const;
  // Every counter of one metric: labels and value.
  std::map<std::string, std::uint64_t, std::less<>> counters(std::string_view metric) const;
  std::string text() const;

 private:
  mutable Mutex<Rank::object> mutex_;
  std::map<std::string, CallCounters, std::less<>> calls_ GUARDED_BY(mutex_);
  std::map<std::string, std::map<std::string, std::uint64_t, std::less<>>, std::less<>> counters_
      GUARDED_BY(mutex_);
};

}  // namespace agentfs
