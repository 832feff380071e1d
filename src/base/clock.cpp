// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <fmt/format.h>

#include <ctime>

#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kFarthest = 9'000'000'000;  // seconds that fit as nanoseconds: 2255

std::int64_t read_clock(clockid_t id) {
  timespec now{};
  ::clock_gettime(id, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

// "+02:00" or "Z": seconds east of UTC.
std::optional<std::int64_t> zone(std::string_view s) {
  if (s == "Z" || s == "z") return 0;
  if (s.size() != 6 || s[3] != ':' || (s[0] != '+' && s[0] != '-')) return std::nullopt;
  const auto hours = text::number<unsigned>(s.substr(1, 2));
  const auto minutes = text::number<unsigned>(s.substr(4, 2));
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const std::int64_t seconds = std::int64_t{*hours} * 3600 + std::int64_t{*minutes} * 60;
  return s[0] == '+' ? seconds : -seconds;
}

// ".25" -> 250,000,000; the digits are taken off `s`.
std::optional<std::int64_t> fraction(std::string_view& s) {
  if (!s.starts_with('.')) return 0;
  s.remove_prefix(1);
  std::int64_t value = 0;
  std::int64_t scale = kSecond;
  std::size_t digits = 0;
  while (digits < s.size() && s[digits] >= '0' && s[digits] <= '9') {
    scale /= 10;
    value += (s[digits] - '0') * scale;
    ++digits;
  }
  if (digits == 0 || digits > 9) return std::nullopt;
  s.remove_prefix(digits);
  return value;
}

// "2026-01-31T12:34:56": seconds since 1970.
std::optional<std::int64_t> calendar(std::string_view s) {
  if (s.size() != 19 || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' ||
      (s[10] != 'T' && s[10] != 't' && s[10] != ' ')) {
    return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t size) {
    return static_cast<int>(text::number<unsigned>(s.substr(at, size)).value_or(9999));
  };
  std::tm utc{};
  utc.tm_year = part(0, 4) - 1900;
  utc.tm_mon = part(5, 2) - 1;
  utc.tm_mday = part(8, 2);
  utc.tm_hour = part(11, 2);
  utc.tm_min = part(14, 2);
  utc.tm_sec = part(17, 2);
  if (utc.tm_mon < 0 || utc.tm_mon > 11 || utc.tm_mday < 1 || utc.tm_mday > 31 ||
      utc.tm_hour > 23 || utc.tm_min > 59 || utc.tm_sec > 60) {
    return std::nullopt;
  }
  const std::int64_t seconds = ::timegm(&utc);
  if (seconds > kFarthest || seconds < -kFarthest) return std::nullopt;
  return seconds;
}

}  // namespace

std::int64_t SystemClock::wall() const { return read_clock(CLOCK_REALTIME); }
std::int64_t SystemClock::steady() const { return read_clock(CLOCK_MONOTONIC); }

std::string timestamp(std::int64_t wall_nanoseconds) {
  std::string text;
  append_timestamp(text, wall_nanoseconds, 3);
  return text;
}

// Most times that are told are of one second, whose text is kept.
void append_timestamp(std::string& out, std::int64_t wall_nanoseconds, unsigned digits) {
  thread_local std::optional<std::int64_t> known;
  thread_local std::string text;
  std::int64_t second = wall_nanoseconds / kSecond;
  std::int64_t rest = wall_nanoseconds % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --second;
  }
  if (known != second) {
    const std::time_t time = second;
    std::tm utc{};
    ::gmtime_r(&time, &utc);
    text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1,
                       utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    known = second;
  }
  out += text;
  if (digits > 0) out += '.';
  std::int64_t unit = kSecond / 10;
  for (unsigned i = 0; i < digits; ++i, unit /= 10) {
    out += static_cast<char>('0' + rest / unit % 10);
  }
  out += 'Z';
}

std::optional<std::int64_t> parse_timestamp(std::string_view s) {
  const auto seconds = calendar(s.substr(0, 19));
  if (!seconds) return std::nullopt;
  s.remove_prefix(19);
  const auto nanoseconds = fraction(s);
  const auto east = zone(s);
  if (!nanoseconds || !east) return std::nullopt;
  return (*seconds - *east) * kSecond + *nanoseconds;
}

}  // namespace agentfs
