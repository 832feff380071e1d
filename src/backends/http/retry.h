// SPDX-License-Identifier: MIT
// When another attempt is worth making, and how long to wait before it. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "backends/http/failure.h"
#include "backends/model_driver.h"

namespace agentfs::http {

inline constexpr std::int64_t kMillisecond = 1'000'000;

// 408, 409, 425, 429 and 5xx.
bool status_may_pass(long status);

// The Retry-After header in nanoseconds from `wall` (0 where its date is over): seconds, or a date
// of HTTP. Nothing where it is neither.
std::optional<std::int64_t> parse_retry_after(std::string_view value, std::int64_t wall);

// Nanoseconds to wait after the given attempt (1 is the first). What the server asked for, and up
// to a tenth more; without that `backoff_ms` doubled an attempt, at most 30 s, of which a random
// part of a half is left out. `random` is from 0 to 1.
std::int64_t retry_delay(const ModelSettings& settings, std::int64_t attempt,
                         const Failure& failure, double random);

}  // namespace agentfs::http
