// SPDX-License-Identifier: MIT
// What each agent process has seen of which path, and when.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "kernel/write_guard.h"

namespace agentfs {

// Threads: all. In memory: after a restart nothing has been seen. Paths are kept as hashes of 64
// bits; of a process the newest kMost at least, twice as many at most (40 bytes each).
class Sightings {
 public:
  static constexpr std::size_t kMost = 8'192;
  void note(ProcessId process, std::string_view path, const Sight& sight);
  std::optional<Sight> find(ProcessId process, std::string_view path) const;
  void forget(ProcessId process);

 private:
  using ByPath = std::unordered_map<std::uint64_t, Sight>;
  struct Seen {
    ByPath newer;
    ByPath older;
  };
  mutable Mutex<Rank::queue> mutex_;
  std::map<ProcessId, Seen> all_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
