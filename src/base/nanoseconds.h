// SPDX-License-Identifier: MIT
// Times of files as one number.
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace agentfs {

inline constexpr std::int64_t kNanoseconds = 1'000'000'000;  // in a second

// Nanoseconds since 1970; of a time that 64 bits do not hold (before 1678, from 2262-04-11 on) the
// nearest that they do.
constexpr std::int64_t nanoseconds_of(const timespec& time) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / kNanoseconds - 1;
  if (time.tv_sec > kMost) return std::numeric_limits<std::int64_t>::max();
  if (time.tv_sec < -kMost) return std::numeric_limits<std::int64_t>::min();
  return std::int64_t{time.tv_sec} * kNanoseconds + time.tv_nsec;
}

// The same back: nanoseconds count forwards, before 1970, too.
constexpr timespec time_of(std::int64_t nanoseconds) {
  std::int64_t seconds = nanoseconds / kNanoseconds;
  std::int64_t rest = nanoseconds % kNanoseconds;
  if (rest < 0) {
    seconds -= 1;
    rest += kNanoseconds;
  }
  return {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = static_cast<long>(rest)};
}

}  // namespace agentfs
