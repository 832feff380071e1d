// SPDX-License-Identifier: MIT
// Where the wall clock has been set, so that what is kept for days is kept for days: a machine may
// start with the clock of long ago and learn the time after an hour's work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace agentfs {

// Spans in which the wall clock ran as the steady one does, or stood still with the machine. What
// differs by more than kStep between two looks is a step, by which all times before it count as
// later or earlier. Between two daemons as much time has passed as the wall clock is beyond all
// that it ever showed: one that is behind was wrong, and is set right later. That it is not ahead
// is believed once it has gone on for an hour: until then no time has passed. Times are wall clock,
// nanoseconds. Threads: all.
class ClockSteps {
 public:
  static constexpr std::int64_t kStep = std::int64_t{3'600} * 1'000'000'000;
  static constexpr std::int64_t kStored = kStep / 6;  // how often the last look is
  static constexpr std::size_t kMost = 1'000;         // spans; of older ones nothing is known

  // Kept in `file`, where it is; without it, as if the clock had always been right.
  ClockSteps(std::string file, const Clock& clock);

  // To be called now and then, and before the times of by_now() are used.
  void look();
  // What that time would be by the clock as it is now. Of several that it can be, the latest.
  std::int64_t by_now(std::int64_t time) const;

 private:
  struct Span {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t shift = 0;  // to be added
  };
  void begin(std::int64_t now) REQUIRES(mutex_);
  void go_on(std::int64_t expected, std::int64_t now) REQUIRES(mutex_);
  void believe() REQUIRES(mutex_);
  void load() REQUIRES(mutex_);
  bool load_line(std::string_view line) REQUIRES(mutex_);
  void store() REQUIRES(mutex_);

  const std::string file_;
  const Clock& clock_;
  mutable Mutex<Rank::driver> mutex_;
  std::vector<Span> spans_ GUARDED_BY(mutex_);   // the last one is now's
  std::int64_t doubted_ GUARDED_BY(mutex_) = 0;  // that passed before the last one, if it did
  std::int64_t steady_ GUARDED_BY(mutex_) = 0;   // at the last look
  std::int64_t stored_ GUARDED_BY(mutex_) = 0;   // steady, too
};

}  // namespace agentfs
