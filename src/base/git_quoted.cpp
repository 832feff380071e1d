// SPDX-License-Identifier: MIT
#include "base/git_quoted.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace agentfs {
namespace {

bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

constexpr std::string_view kNamed = "\a\b\t\n\v\f\r\"\\";
constexpr std::string_view kLetters = "abtnvfr\"\\";

void append_escaped(std::string& out, char c) {
  const auto at = kNamed.find(c);
  if (at != std::string_view::npos) {
    out += {'\\', kLetters[at]};
  } else {
    out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
  }
}

}  // namespace

std::string git_quoted(std::string_view name) {
  const bool hides_its_end = name.ends_with(' ') || name.find(" /") != std::string_view::npos;
  if (std::ranges::all_of(name, is_plain) && !hides_its_end) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (is_plain(c)) {
      out += c;
    } else {
      append_escaped(out, c);
    }
  }
  return out += '"';
}

std::string quoted_for_people(std::string_view name) {
  const auto is_shown = [](char c) { return is_plain(c) || static_cast<unsigned char>(c) >= 0x80; };
  if (!text::is_utf8(name) || !std::ranges::all_of(name, is_shown)) return git_quoted(name);
  return name.contains(' ') ? fmt::format("\"{}\"", name) : std::string(name);
}

char git_unescaped(std::string_view text, std::size_t& at) {
  const std::string_view octal = text.substr(at, 3);
  const bool is_octal = octal.size() == 3 && octal[0] <= '3' &&
                        std::ranges::all_of(octal, [](char c) { return c >= '0' && c <= '7'; });
  if (is_octal) {
    at += 2;
    return static_cast<char>((octal[0] - '0') * 64 + (octal[1] - '0') * 8 + (octal[2] - '0'));
  }
  const auto letter = kLetters.find(text[at]);
  return letter == std::string_view::npos ? text[at] : kNamed[letter];
}

}  // namespace agentfs
