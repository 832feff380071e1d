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

// A part of its kernel, which outlives each Hold of it. Threads: all, but those of a start: one.
class VersionsInUse {
 public:
  using Numbers = std::vector<std::uint64_t>;

  // As long as it lives none of these is forgotten. `numbers` keeps those that are not being
  // forgotten already: to be asked in the look at the history that has chosen them.
  Hold keep(Numbers& numbers);
  // As long as it lives nobody begins to bring one of these back: until the row that forgets them
  // is there. `numbers` keeps those that nobody is bringing back.
  Hold forget(Numbers& numbers);

  // At a start: of restores that a crash cut short, until these are ended.
  void keep_for_start(Numbers numbers) { for_start_ = keep(numbers); }
  void end_start() { for_start_.reset(); }

 private:
  using Counts = std::unordered_map<std::uint64_t, std::size_t>;  // by how many
  Hold begin(Counts& mine, const Counts& others, Numbers& numbers) REQUIRES(mutex_);
  void end(Counts& mine, const Numbers& numbers) EXCLUDES(mutex_);

  Mutex<Rank::queue> mutex_;
  Counts kept_ GUARDED_BY(mutex_);
  Counts forgotten_ GUARDED_BY(mutex_);
  Hold for_start_;  // goes before what it is of
};

}  // namespace agentfs
