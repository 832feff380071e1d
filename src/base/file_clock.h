// SPDX-License-Identifier: MIT
// When files were made, by the clock that their times are of.
#pragma once

#include <sys/stat.h>

#include <ctime>
#include <optional>

#include "base/nanoseconds.h"

namespace agentfs {

// It goes by ticks, and is never ahead of what is made after it was asked.
inline timespec file_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now;
}

// Of a statx(2) that asked for STATX_BTIME; nothing: the disk does not tell.
inline std::optional<bool> was_made_since(const struct statx& found, const timespec& since) {
  if ((found.stx_mask & STATX_BTIME) == 0) return std::nullopt;
  const timespec made{found.stx_btime.tv_sec, found.stx_btime.tv_nsec};
  return nanoseconds_of(made) >= nanoseconds_of(since);
}

}  // namespace agentfs
