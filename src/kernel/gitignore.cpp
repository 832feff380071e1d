// SPDX-License-Identifier: MIT
#include "kernel/gitignore.h"

#include <optional>

#include "base/byte_order_mark.h"
#include "base/text.h"

namespace agentfs {
namespace {

// Of ASCII alone, whatever the locale is.
bool is_of(std::string_view name, char letter) {
  const bool is_upper = letter >= 'A' && letter <= 'Z';
  const bool is_lower = letter >= 'a' && letter <= 'z';
  const bool is_digit = letter >= '0' && letter <= '9';
  const bool is_graph = letter > ' ' && letter < '\x7f';
  const bool is_word = is_upper || is_lower || is_digit;
  if (name == "upper") return is_upper;
  if (name == "lower") return is_lower;
  if (name == "digit") return is_digit;
  if (name == "alpha") return is_upper || is_lower;
  if (name == "alnum") return is_word;
  if (name == "graph") return is_graph;
  if (name == "punct") return is_graph && !is_word;
  if (name == "print") return is_graph || letter == ' ';
  if (name == "blank") return letter == ' ' || letter == '\t';
  if (name == "space") return letter == ' ' || (letter >= '\t' && letter <= '\r');
  if (name == "cntrl") return (letter >= 0 && letter < ' ') || letter == '\x7f';
  const char low = static_cast<char>(letter | 0x20);
  return name == "xdigit" && (is_digit || (low >= 'a' && low <= 'f'));
}

// The name in "[:upper:]"; "" where there stands none.
std::string_view class_name(std::string_view pattern) {
  if (!pattern.starts_with("[:")) return {};
  const auto end = pattern.find(":]", 2);
  return end == std::string_view::npos ? std::string_view() : pattern.substr(2, end - 2);
}

// What a [class] says of a letter; takes the class off the pattern. Nothing where it is not ended.
std::optional<bool> take_class(std::string_view& pattern, char letter) {
  std::size_t i = 1;
  const bool is_negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (is_negated) ++i;
  bool matches = false;
  for (const std::size_t first = i; i < pattern.size(); ++i) {
    if (pattern[i] == ']' && i > first) {
      pattern.remove_prefix(i + 1);
      return matches != is_negated && letter != '/';
    }
    if (const std::string_view name = class_name(pattern.substr(i)); !name.empty()) {
      matches = matches || is_of(name, letter);
      i += name.size() + 3;
      continue;
    }
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const char low = pattern[i];
    char high = low;
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      high = pattern[i + 2];
      i += 2;
    }
    if (letter >= low && letter <= high) matches = true;
  }
  return std::nullopt;
}

// One letter of the path against the head of the pattern, which is taken off.
bool take_letter(std::string_view& pattern, char letter) {
  if (pattern.empty()) return false;
  if (pattern[0] == '?') {
    pattern.remove_prefix(1);
    return letter != '/';
  }
  if (pattern[0] == '[') {
    const auto matches = take_class(pattern, letter);
    if (matches) return *matches;
  } else if (pattern[0] == '\\' && pattern.size() > 1) {
    pattern.remove_prefix(1);
  }
  const bool is_same = pattern[0] == letter;
  pattern.remove_prefix(1);
  return is_same;
}

// Within one part of the path: only the last star is gone back to, so the time is bounded by the
// product of both lengths.
bool part_matches(std::string_view pattern, std::string_view part) {
  std::optional<std::pair<std::string_view, std::string_view>> star;  // after it, and where
  for (;;) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      star = {pattern, part};
      continue;
    }
    if (part.empty() && pattern.empty()) return true;
    if (!part.empty() && take_letter(pattern, part[0])) {
      part.remove_prefix(1);
      continue;
    }
    if (!star || star->second.empty()) return false;
    star->second.remove_prefix(1);
    pattern = star->first;
    part = star->second;
  }
}

// Three stars are two, to git.
bool is_any_number_of_parts(std::string_view part) {
  return part.size() > 1 && part.find_first_not_of('*') == std::string_view::npos;
}

bool parts_match(const std::vector<std::string_view>& pattern,
                 const std::vector<std::string_view>& path) {
  // The same, over whole parts: "**" is a star that takes any number of them.
  std::size_t p = 0;
  std::size_t s = 0;
  std::optional<std::pair<std::size_t, std::size_t>> star;
  while (s < path.size() || p < pattern.size()) {
    if (p < pattern.size() && is_any_number_of_parts(pattern[p])) {
      // At the end it stands for everything inside, so for one part at least.
      if (p + 1 == pattern.size()) return s < path.size();
      star = {++p, s};
      continue;
    }
    if (p < pattern.size() && s < path.size() && part_matches(pattern[p], path[s])) {
      ++p;
      ++s;
      continue;
    }
    if (!star || star->second >= path.size()) return false;
    p = star->first;
    s = ++star->second;
  }
  return true;
}

// A line of DOS ends with one character more; a tab at the end counts.
std::string_view without_trailing_space(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
  return line;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view path) {
  return parts_match(text::split(pattern, '/'), text::split(path, '/'));
}

void GitIgnore::add(std::string_view directory, std::string_view text) {
  for (std::string_view line : text::lines(without_byte_order_mark(text))) {
    line = without_trailing_space(line);
    if (line.empty() || line[0] == '#') continue;
    Rule rule;
    rule.directory = directory;
    if (line[0] == '!') {
      rule.is_negated = true;
      line.remove_prefix(1);
    }
    if (line.ends_with('/')) {
      rule.directories_only = true;
      line.remove_suffix(1);
    }
    rule.is_anchored = line.find('/') != std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    if (line.empty()) continue;
    rule.pattern = line;
    rules_.push_back(std::move(rule));
  }
}

bool GitIgnore::is_ignored(std::string_view path, bool is_directory) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->directories_only && !is_directory) continue;
    std::string_view below = path;
    if (!rule->directory.empty()) {
      const std::string head = rule->directory + "/";
      if (!path.starts_with(head)) continue;
      below.remove_prefix(head.size());
    }
    if (!rule->is_anchored) below = below.substr(below.rfind('/') + 1);
    if (glob_matches(rule->pattern, below)) return !rule->is_negated;
  }
  return false;
}

}  // namespace agentfs
