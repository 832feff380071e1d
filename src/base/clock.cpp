// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <fmt/format.h>

#include <ctime>

namespace agentfs {
namespace {

std::int64_t read_clock(clockid_t id) {
  timespec now{};
  ::clock_gettime(id, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t SystemClock::wall() const { return read_clock(CLOCK_REALTIME); }
std::int64_t SystemClock::steady() const { return read_clock(CLOCK_MONOTONIC); }

std::string timestamp(std::int64_t wall_nanoseconds) {
  const std::time_t seconds = wall_nanoseconds / 1'000'000'000;
  const auto milliseconds = wall_nanoseconds / 1'000'000 % 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     milliseconds);
}

}  // namespace agentfs
