// SPDX-License-Identifier: MIT
#include "base/git_quoted.h"

#include <fmt/format.h>

#include <algorithm>

namespace agentfs {
namespace {

bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kNamed = "\a\b\t\n\v\f\r\"\\";
  constexpr std::string_view kLetters = "abtnvfr\"\\";
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

}  // namespace agentfs
