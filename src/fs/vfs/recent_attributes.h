// SPDX-License-Identifier: MIT
// Attributes of a directory that are found out by listing all names in it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "base/mutex.h"
#include "fs/vfs/node.h"
#include "kernel/caller.h"

namespace agentfs::vfs {

// Whoever goes through the names by their paths has the directory looked up for each, and all names
// listed each time. What took long is told again to the same caller: in all no longer than the
// host's kernel may use one answer, and no more than kTimes as long as it took. Threads: all.
class RecentAttributes {
 public:
  static constexpr std::int64_t kLong = 200'000;  // nanoseconds; less is found out again
  static constexpr std::int64_t kTimes = 20;

  using Find = std::function<Result<Attributes>()>;
  Result<Attributes> of(const Caller& caller, const Clock& clock, const Find& find);

 private:
  struct Known {
    ProcessId process{};
    uid_t uid = 0;
    std::int64_t found = 0;  // steady
    std::int64_t until = 0;
    Attributes answer{};
  };
  std::optional<Attributes> known(const Caller& caller, std::int64_t now) const;

  mutable Mutex<Rank::queue> mutex_;
  std::optional<Known> known_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
