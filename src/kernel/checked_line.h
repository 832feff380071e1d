// SPDX-License-Identifier: MIT
// Lines of two words and a check, as records of merges are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "base/text.h"

namespace agentfs {

inline std::string check_of(std::string_view text) {
  return fmt::format("{:04x}", fnv1a(text) & 0xffffu);
}

inline std::string with_check(const std::string& words) {
  return fmt::format("{} {}\n", words, check_of(words));
}

// Two words of a line, of which a third one is the check; lines of earlier builds have none. One
// without its end was cut, perhaps within a word.
inline std::optional<std::pair<std::string_view, std::string_view>> checked(std::string_view line) {
  if (!line.ends_with('\n')) return std::nullopt;
  const auto words = text::words(line);
  if (words.size() < 2 || words.size() > 3) return std::nullopt;
  if (words.size() == 3 && words[2] != check_of(fmt::format("{} {}", words[0], words[1]))) {
    return std::nullopt;
  }
  return std::pair{words[0], words[1]};
}

}  // namespace agentfs
