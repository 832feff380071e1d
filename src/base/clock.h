// SPDX-License-Identifier: MIT
// Time and randomness as objects, so that a test or a replay can supply its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace agentfs {

// Threads: all. Implementations never block.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t wall() const = 0;    // nanoseconds since 1970-01-01 UTC
  virtual std::int64_t steady() const = 0;  // nanoseconds since any fixed moment; never goes back
};

class SystemClock final : public Clock {
 public:
  std::int64_t wall() const override;
  std::int64_t steady() const override;
};

// A clock that moves only when told.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(std::int64_t start = 1'700'000'000'000'000'000) : now_(start) {}
  std::int64_t wall() const override { return now_; }
  std::int64_t steady() const override { return now_; }
  void advance(std::int64_t nanoseconds) { now_ += nanoseconds; }

 private:
  std::atomic<std::int64_t> now_;
};

// "2026-01-31T12:34:56.789Z"
std::string timestamp(std::int64_t wall_nanoseconds);
// The same at the end of `out`, with 0 to 9 digits of the second's fraction.
void append_timestamp(std::string& out, std::int64_t wall_nanoseconds, unsigned digits);
// RFC 3339, as "2026-01-31T12:34:56.789012345Z" or "2026-01-31 14:34:56+02:00": nanoseconds since
// 1970-01-01 UTC. Nothing for other texts and years that a clock cannot tell.
std::optional<std::int64_t> parse_timestamp(std::string_view text);

}  // namespace agentfs
