// SPDX-License-Identifier: MIT
#include "backends/git/odd_rules.h"

#include <algorithm>

#include "backends/git/worktree.h"
#include "base/file.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

constexpr const char* kAttributes = ".gitattributes";
constexpr std::string_view kBlanks = " \t\r";
constexpr std::size_t kLongestLine = 2048;  // of which git makes anything

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

OddRules OddRules::in(int directory) const {
  OddRules rules = *this;
  const auto kind = kind_of(directory, kAttributes);
  if (kind && (*kind == Kind::none || *kind == Kind::directory || *kind == Kind::other)) {
    return rules;
  }
  const auto file = open_file(directory, kAttributes);  // no link, which git does not follow
  const auto text = file ? file::read(file->get()) : std::unexpected(file.error());
  rules.any_ = any_ || !text;
  if (text) rules.read(*text);
  return rules;
}

void OddRules::read(std::string_view text) {
  for (const std::string_view line : text::split(text, '\n')) any_ = any_ || is_odd(line);
}

// A quoted pattern, one that begins with "!" or in which a blank is escaped, a long line, and an
// attribute that stands for others and is taken back.
bool OddRules::is_odd(std::string_view line) {
  constexpr std::string_view kMacro = "[attr]";
  if (line.size() >= kLongestLine) return true;
  const std::string_view pattern = take_word(line);
  if (pattern.empty() || pattern.starts_with('#')) return false;
  if (pattern.starts_with(kMacro)) {
    macros_.emplace(pattern.substr(kMacro.size()));
    return false;
  }
  if (pattern.starts_with('"') || pattern.starts_with('!') || pattern.ends_with('\\')) return true;
  for (auto word = take_word(line); !word.empty(); word = take_word(line)) {
    const bool is_taken_back = word.starts_with('-') || word.starts_with('!');
    if (is_taken_back && macros_.contains(word.substr(1))) return true;
  }
  return false;
}

}  // namespace agentfs::git
