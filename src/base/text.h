// SPDX-License-Identifier: MIT
// Small pure functions over text. All take and return UTF-8 unless told.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace agentfs::text {

std::string_view trim(std::string_view s);  // ASCII white space off both ends
std::vector<std::string_view> split(std::string_view s, char separator);  // keeps empty parts
std::vector<std::string_view> lines(std::string_view s);  // without their newlines; no empty last
std::vector<std::string_view> words(std::string_view s);  // at runs of ASCII white space
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string lower(std::string_view s);  // ASCII only
bool is_utf8(std::string_view s);
// Valid UTF-8 in any case: each byte that is not becomes U+FFFD.
std::string to_utf8(std::string_view bytes);
// The first at most `limit` bytes, never cutting a UTF-8 sequence.
std::string_view prefix(std::string_view s, std::size_t limit);
std::string_view suffix(std::string_view s, std::size_t limit);
// A value as an error sentence shows it: quoted where it has spaces, control bytes as \xNN, cut
// at 80 bytes with an ellipsis.
std::string shown(std::string_view value);
// The first five of these, shown, and how many more there are: "a, b".
std::string shown_some(const std::vector<std::string>& values);
// "1 change", "2 changes".
std::string counted(std::uint64_t count, std::string_view noun);
// Of `candidates` at most `limit` that are nearest to `word` by edit distance, nearest first;
// those farther than half of the word are left out.
std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates,
                                 std::size_t limit = 3);
// "; did you mean a, b?" or "" where nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);
std::string hex(std::string_view bytes);
std::optional<std::string> unhex(std::string_view digits);

// Of a path: what comes after its last slash.
std::string_view last_part(std::string_view path);
// What comes before it: "/a" of "/a/b", "" of "b" and of "/b".
std::string_view parent_part(std::string_view path);
// "/a/b" is below "/a" and in it, as "/a" is in "/a" alone; "" and "/" have all below them.
bool is_below(std::string_view path, std::string_view directory);
bool is_in(std::string_view path, std::string_view directory);
// Its first names, "/workspaces/site" of "/workspaces/site/a/b" for 2; "" where it has fewer.
std::string_view first_parts(std::string_view path, std::size_t count);

// The whole word as a number, or nothing.
template <class Number>
std::optional<Number> number(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// A duration such as "90", "1.5s", "250ms", "10m", "2h", "1d" in nanoseconds; bare numbers are
// seconds.
std::optional<std::int64_t> duration(std::string_view word);

}  // namespace agentfs::text
