// SPDX-License-Identifier: MIT
#include "fcp/words.h"

#include <algorithm>

#include "base/git_quoted.h"
#include "base/text.h"

namespace agentfs::fcp {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Reads one word from `at`; leaves `at` behind it.
Result<std::string> take_word(std::string_view s, std::size_t& at) {
  std::string word;
  const std::size_t begin = at;
  bool quoted = false;
  for (; at < s.size() && (quoted || !is_blank(s[at])); ++at) {
    if (s[at] == '"') {
      quoted = !quoted;
    } else if (quoted && s[at] == '\\' && at + 1 < s.size()) {
      word += git_unescaped(s, ++at);
    } else {
      word += s[at];
    }
  }
  if (quoted) {
    return fail(
        EINVAL,
        "command: the quote that opens at byte {} is not closed ({}); one more at the end, or "
        "\\\" for one in a word, would do",
        begin + 1, text::shown(s));
  }
  if (word.contains('\0')) {
    return fail(EINVAL, "command: a byte 0 in a word ({}); no name has one", text::shown(s));
  }
  return word;
}

}  // namespace

std::string_view Line::rest(std::size_t index) const {
  return index < starts.size() ? text.substr(starts[index]) : std::string_view();
}

Result<Line> parse_line(std::string_view line) {
  Line parsed;
  parsed.text = text::trim(line);
  const auto bad = std::ranges::find_if(parsed.text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
  if (bad != parsed.text.end()) {
    return fail(EINVAL, "command: byte {} is the control byte \\x{:02x} ({}); text would do",
                bad - parsed.text.begin() + 1, static_cast<unsigned char>(*bad),
                text::shown(parsed.text));
  }
  if (!text::is_utf8(parsed.text)) {
    return fail(EINVAL, "command: not UTF-8 ({}); text in UTF-8 would do",
                text::shown(parsed.text));
  }
  for (std::size_t at = 0; at < parsed.text.size();) {
    if (is_blank(parsed.text[at])) {
      ++at;
      continue;
    }
    if (parsed.text[at] == '#' && parsed.words.empty()) break;
    parsed.starts.push_back(at);
    parsed.words.push_back(TRY(take_word(parsed.text, at)));
  }
  return parsed;
}

std::optional<std::pair<std::string, std::string>> key_value(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  const std::string key = word.substr(0, equals);
  const bool plain =
      std::ranges::all_of(key, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  if (!plain) return std::nullopt;
  return std::pair(key, word.substr(equals + 1));
}

}  // namespace agentfs::fcp
