// SPDX-License-Identifier: MIT
#include "base/expression.h"

#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::int64_t kMemory = std::int64_t{4} << 20;  // of one, compiled and at work
constexpr std::size_t kLongest = 4'096;
constexpr int kMostSteps = 16'000;  // each may be looked at for each byte of a text

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

std::shared_ptr<const RE2> compiled(std::string_view text, RE2::Options::Encoding encoding) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemory);
  options.set_never_capture(true);
  options.set_encoding(encoding);
  return std::make_shared<const RE2>(piece(text), options);
}

// UTF-8 as Latin-1; as it is where it has characters that Latin-1 has not.
std::string to_latin1(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead > 0xC3) return std::string(text);
    bytes += lead < 0x80 ? text[i]
                         : static_cast<char>(((lead & 3U) << 6U) |
                                             (static_cast<unsigned char>(text[++i]) & 0x3FU));
  }
  return bytes;
}

struct Foreign {
  std::string_view what{};
  std::string_view instead{};
};

// "{,n}": RE2 takes it for these very characters.
bool is_open_repetition(std::string_view text) {
  if (!text.starts_with("{,")) return false;
  const std::size_t end = text.find_first_not_of("0123456789", 2);
  return end != std::string_view::npos && end > 2 && text[end] == '}';
}

// Behind the bracket expression that begins at `at`.
std::size_t end_of_set(std::string_view text, std::size_t at) {
  std::size_t i = at + 1;
  if (i < text.size() && text[i] == '^') ++i;
  for (std::size_t first = i; i < text.size() && (text[i] != ']' || i == first); ++i) {
    if (text[i] == '\\') ++i;
    if (text.substr(i).starts_with("[:")) i = std::min(text.find(":]", i), text.size() - 1) + 1;
  }
  return i;
}

// What other engines have and RE2, which refuses nothing of it, reads as plain characters.
std::optional<Foreign> find_foreign(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("\\Q")) {
      i = std::min(text.find("\\E", i), text.size());
    } else if (rest.starts_with("\\<") || rest.starts_with("\\>")) {
      return Foreign{rest.substr(0, 2),
                     "\\b is where a word begins or ends, and < and > are plain"};
    } else if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '[') {
      i = end_of_set(text, i);
    } else if (is_open_repetition(rest)) {
      return Foreign{rest.substr(0, rest.find('}') + 1),
                     "{0,n} is up to n times, and \\{ a plain brace"};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<Expression> Expression::compile(std::string_view text) {
  if (text.size() > kLongest) {
    return fail(EINVAL, "no regular expression of so many bytes ({}); up to {} would do",
                text.size(), kLongest);
  }
  Compiled whole = compiled(text, RE2::Options::EncodingUTF8);
  if (!whole->ok()) {
    return fail(EINVAL, "no regular expression as RE2 has them ({}): {}", text::shown(text),
                whole->error());
  }
  if (const auto foreign = find_foreign(text)) {
    return fail(EINVAL, "no regular expression as RE2 has them ({}): {} is none of its; {}",
                text::shown(text), foreign->what, foreign->instead);
  }
  if (whole->ProgramSize() > kMostSteps) {
    return fail(EINVAL,
                "no regular expression of so many steps ({}: {}, of {} at the most); fewer "
                "repetitions, or smaller sets in them, would do",
                text::shown(text), whole->ProgramSize(), kMostSteps);
  }
  Compiled of_bytes = compiled(to_latin1(text), RE2::Options::EncodingLatin1);
  if (!of_bytes->ok()) of_bytes = nullptr;
  return Expression(std::move(whole), std::move(of_bytes));
}

bool Expression::is_in(std::string_view text) const {
  if (RE2::PartialMatch(piece(text), *compiled_)) return true;
  if (of_bytes_ == nullptr || text::is_utf8(text)) return false;
  return RE2::PartialMatch(piece(text), *of_bytes_);
}

}  // namespace agentfs
