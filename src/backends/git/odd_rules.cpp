// SPDX-License-Identifier: MIT
#include "backends/git/odd_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <span>

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

// What tells whether, and how, line endings are changed; and the words of these that all read
// alike. Of the last three any word has a file stored as it lies.
constexpr auto kOfEndings = std::to_array<std::string_view>(
    {"text", "crlf", "eol", "binary", "filter", "ident", "working-tree-encoding"});
constexpr auto kKnown = std::to_array<std::string_view>(
    {"text", "-text", "!text", "text=auto", "crlf", "-crlf", "!crlf", "crlf=input", "eol=lf",
     "eol=crlf", "!eol", "binary", "filter", "-filter", "!filter", "ident", "-ident", "!ident"});

bool has(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// In a line of rules: "name", "-name", "!name" or "name=value".
class Attribute {
 public:
  explicit Attribute(std::string_view word)
      : word_(word),
        sign_(word.substr(0, word.starts_with('-') || word.starts_with('!') ? 1 : 0)),
        name_(word.substr(sign_.size(), word.find('=') - sign_.size())) {}

  std::string_view name() const { return name_; }
  bool is_valid() const {
    const auto is_of_name = [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
    };
    const bool has_value = sign_.size() + name_.size() != word_.size();
    return !name_.empty() && name_.front() != '-' && std::ranges::all_of(name_, is_of_name) &&
           (sign_.empty() || !has_value);
  }
  bool tells_endings() const { return has(kOfEndings, name_); }
  bool is_known() const {
    return has(kKnown, word_) || word_.starts_with("filter=") ||
           word_.starts_with("working-tree-encoding=");
  }

 private:
  std::string_view word_;
  std::string_view sign_;
  std::string_view name_;
};

// A line whose pattern is quoted, begins with "!" or has a blank that is escaped, or that is long;
// a line that git ignores as a whole, as one with a remark; values of what tells line endings that
// are none of git's; and names that stand for others, where those may tell of line endings.
bool is_odd(std::string_view line) {
  constexpr std::string_view kMacro = "[attr]";
  const bool has_other_blanks = line.find_first_of("\v\f") != line.npos;  // which libgit2 skips
  if (line.size() >= kLongestLine || has_other_blanks) return true;
  const std::string_view pattern = take_word(line);
  if (pattern.empty() || pattern.starts_with('#')) return false;
  const bool is_macro = pattern.starts_with(kMacro);
  if (pattern.starts_with('"') || pattern.starts_with('!') || pattern.ends_with('\\')) return true;
  std::set<std::string_view> told;
  for (auto word = take_word(line); !word.empty(); word = take_word(line)) {
    const Attribute attribute(word);
    if (!attribute.is_valid()) return true;
    if (!attribute.tells_endings()) continue;
    const std::string_view what = attribute.name() == "binary" ? "text" : attribute.name();
    if (is_macro || !attribute.is_known() || !told.insert(what).second) return true;
  }
  return false;
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
  any_ = any_ || text.contains('\0');
  for (const std::string_view line : text::split(text, '\n')) any_ = any_ || is_odd(line);
}

}  // namespace agentfs::git
