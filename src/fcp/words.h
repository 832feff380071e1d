// SPDX-License-Identifier: MIT
// A command line as words: the grammar that every control file of the mount shares.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace agentfs::fcp {

// One command. Words are separated by blanks; "double quotes" keep blanks together, with the
// escapes of git_quoted() inside them, so that words may hold any bytes but 0; `#` at the start of
// a word begins a comment, but not inside a rest-of-line argument.
struct Line {
  std::string_view text;            // the whole line, trimmed, without a comment-only tail
  std::vector<std::string> words;   // words[0] is the verb
  std::vector<std::size_t> starts;  // where each word begins in `text`
  // The text from word `index` on, as it was written: for arguments that are prose.
  std::string_view rest(std::size_t index) const;
};

// EINVAL for NUL or other control bytes, invalid UTF-8 and an unclosed quote, naming the place. A
// line that is empty or a comment has no words.
Result<Line> parse_line(std::string_view line);

// A word of the form key=value, or nothing. A key is [a-z_]+.
std::optional<std::pair<std::string, std::string>> key_value(const std::string& word);

}  // namespace agentfs::fcp
