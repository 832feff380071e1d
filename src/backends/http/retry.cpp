// SPDX-License-Identifier: MIT
#include "backends/http/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace agentfs::http {
namespace {

constexpr std::int64_t kSecond = 1000 * kMillisecond;
constexpr std::int64_t kLongestBackoff = 30 * kSecond;
constexpr std::int64_t kLongestWait = 365 * 86'400 * kSecond;

std::int64_t portion(std::int64_t whole, double part) {
  return static_cast<std::int64_t>(static_cast<double>(whole) * part);
}

}  // namespace

bool status_may_pass(long status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

std::optional<std::int64_t> parse_retry_after(std::string_view value, std::int64_t wall) {
  value = text::trim(value);
  if (const auto seconds = text::number<double>(value)) {
    if (!(*seconds >= 0)) return std::nullopt;
    return portion(kSecond, std::min(*seconds, static_cast<double>(kLongestWait / kSecond)));
  }
  const std::time_t date = ::curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  const std::int64_t seconds = std::int64_t{date} - wall / kSecond;
  return std::clamp<std::int64_t>(seconds, 0, kLongestWait / kSecond) * kSecond;
}

std::int64_t retry_delay(const ModelSettings& settings, std::int64_t attempt,
                         const Failure& failure, double random) {
  if (failure.retry_after && *failure.retry_after > 0) {
    return portion(*failure.retry_after, 1 + 0.1 * random);
  }
  const std::int64_t longest = kLongestBackoff / kMillisecond;
  std::int64_t wait = std::clamp<std::int64_t>(settings.backoff_ms, 0, longest);
  for (std::int64_t i = 1; i < attempt && wait > 0 && wait < longest; ++i) wait *= 2;
  return portion(std::min(wait, longest) * kMillisecond, 1 - 0.5 * random);
}

}  // namespace agentfs::http
