// SPDX-License-Identifier: MIT
#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <ranges>
#include <utility>

namespace agentfs::text {
namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";

// Length of the valid UTF-8 sequence at the start of `s`, 0 where there is none (RFC 3629).
std::size_t sequence_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (s.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

// Levenshtein's, with two neighbours that have changed places as one step ("optimal string
// alignment").
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0uz);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({above[j - 1] + cost, above[j] + 1, row[j - 1] + 1});
      const bool is_swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

std::string_view trim(std::string_view s) {
  const auto first = s.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> split(std::string_view s, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t start = 0;;) {
    const auto end = s.find(separator, start);
    parts.push_back(s.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::vector<std::string_view> lines(std::string_view s) {
  if (s.ends_with('\n'))
    s.remove_suffix(1);
  else if (s.empty())
    return {};
  return split(s, '\n');
}

std::vector<std::string_view> words(std::string_view s) {
  std::vector<std::string_view> found;
  for (std::size_t start = 0;;) {
    start = s.find_first_not_of(kSpace, start);
    if (start == std::string_view::npos) return found;
    const auto end = std::min(s.find_first_of(kSpace, start), s.size());
    found.push_back(s.substr(start, end - start));
    start = end;
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::string lower(std::string_view s) {
  std::string result(s);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool is_utf8(std::string_view s) {
  constexpr std::uint64_t kBeyondAscii = 0x8080'8080'8080'8080;
  while (!s.empty()) {
    std::uint64_t eight = 0;
    while (s.size() >= sizeof eight) {
      std::memcpy(&eight, s.data(), sizeof eight);
      if ((eight & kBeyondAscii) != 0) break;
      s.remove_prefix(sizeof eight);
    }
    if (s.empty()) break;
    const std::size_t length = sequence_length(s);
    if (length == 0) return false;
    s.remove_prefix(length);
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = sequence_length(bytes);
    result.append(length == 0 ? "\xEF\xBF\xBD" : bytes.substr(0, length));
    bytes.remove_prefix(std::max(length, 1uz));
  }
  return result;
}

std::string_view prefix(std::string_view s, std::size_t limit) {
  if (s.size() <= limit) return s;
  while (limit > 0 && is_continuation(s[limit])) --limit;
  return s.substr(0, limit);
}

std::string_view suffix(std::string_view s, std::size_t limit) {
  if (s.size() <= limit) return s;
  std::size_t start = s.size() - limit;
  while (start < s.size() && is_continuation(s[start])) ++start;
  return s.substr(start);
}

std::string shown(std::string_view value) {
  const std::string_view cut = prefix(value, 80);
  std::string result;
  bool quoted = value.empty();
  for (const char c : cut) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ') quoted = true;
    if (byte < 0x20 || byte == 0x7F) {
      result += c == '\n' ? "\\n" : c == '\t' ? "\\t" : fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  result = to_utf8(result);
  if (cut.size() < value.size()) result += "…";
  return quoted ? "\"" + result + "\"" : result;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string shown_some(const std::vector<std::string>& values) {
  constexpr std::size_t kMost = 5;
  std::string out;
  for (const std::string& value : values | std::views::take(kMost)) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", shown(value));
  }
  if (values.size() > kMost) out += fmt::format(" and {} more", values.size() - kMost);
  return out;
}

std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates,
                                 std::size_t limit) {
  constexpr std::size_t kMostSteps = 10'000'000;  // some 10 ms: a sentence is worth no more
  const std::size_t most = std::max((word.size() + 2) / 3, 1uz);  // text for "txet"
  std::size_t steps = 0;
  std::vector<std::pair<std::size_t, std::string>> scored;
  for (const std::string& candidate : candidates) {
    if (candidate == word) continue;
    if (!word.empty() && candidate.find(word) != std::string::npos) {
      scored.emplace_back(1, candidate);
      continue;
    }
    const auto [less, more] = std::minmax({word.size(), candidate.size()});
    if (more - less > most || steps > kMostSteps) continue;
    steps += word.size() * candidate.size();
    const std::size_t distance = edit_distance(word, candidate);
    if (distance <= most) scored.emplace_back(distance, candidate);
  }
  std::ranges::sort(scored);
  std::vector<std::string> result;
  for (auto& [distance, candidate] : scored) {
    if (result.size() < limit) result.push_back(std::move(candidate));
  }
  return result;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const auto near = nearest(word, candidates);
  return near.empty() ? "" : fmt::format("; did you mean {}?", fmt::join(near, ", "));
}

std::string hex(std::string_view bytes) {
  std::string digits;
  digits.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    digits += kDigits[static_cast<unsigned char>(c) >> 4];
    digits += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return digits;
}

std::optional<std::string> unhex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(&digits[i], &digits[i] + 2, value, 16);
    if (error != std::errc{} || end != &digits[i] + 2) return std::nullopt;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::optional<std::int64_t> duration(std::string_view word) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ms", 1e6}, {"us", 1e3},   {"ns", 1.0},   {"s", 1e9},
      {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  double scale = 1e9;
  for (const auto& [unit, factor] : kUnits) {
    if (word.ends_with(unit)) {
      word.remove_suffix(unit.size());
      scale = factor;
      break;
    }
  }
  const auto value = number<double>(word);
  if (!value || !std::isfinite(*value) || *value < 0 || *value * scale > 9e18) return std::nullopt;
  return static_cast<std::int64_t>(*value * scale);
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string_view parent_part(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool is_below(std::string_view path, std::string_view directory) {
  if (path.size() <= directory.size() || !path.starts_with(directory)) return false;
  return directory.empty() || directory == "/" || path[directory.size()] == '/';
}

bool is_in(std::string_view path, std::string_view directory) {
  return path == directory || is_below(path, directory);
}

std::string_view first_parts(std::string_view path, std::size_t count) {
  std::size_t end = 0;
  for (std::size_t part = 0; part < count; ++part) {
    if (end == std::string_view::npos || end >= path.size()) return {};
    end = path.find('/', end + 1);
  }
  return path.substr(0, end);
}

}  // namespace agentfs::text
