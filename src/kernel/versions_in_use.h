// SPDX-License-Identifier: MIT
// Which versions are being brought back, and which forgotten: none is both at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/hold.h"
#include "base/mutex.h"

namespace agentfs {

// A part of its kernel, which outlives each Hold of it. Threads: all.
class VersionsInUse {
 public:
  using Numbers = std::vector<std::uint64_t>;

  // As long as it lives none of these is forgotten. `numbers` keeps those that are not being
  // forgotten already: to be asked in the look at the history that has chosen them.
  Hold keep(Numbers& numbers);
  // As long as it lives nobody begins to bring one of these back: until the row that forgets them
  // is there. `numbers` keeps those that nobody is bringing back.
  Hold forget(Numbers& numbers);

 private:
  using Counts = std::unordered_map<std::uint64_t, std::size_t>;  // by how many
  Hold begin(Counts& mine, const Counts& others, Numbers& numbers) REQUIRES(mutex_);
  void end(Counts& mine, const Numbers& numbers) EXCLUDES(mutex_);

  Mutex<Rank::queue> mutex_;
  Counts kept_ GUARDED_BY(mutex_);
  Counts forgotten_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
