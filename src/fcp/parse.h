// SPDX-License-Identifier: MIT
// Words to typed arguments. The sentence for a word that does not fit is written here, once.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "base/text.h"
#include "fcp/words.h"

namespace agentfs::fcp {

// The rest of the line, as it was written: for TEXT arguments. Never empty.
struct Rest {
  std::string text;
};

// A path of a data tree or of the host: any bytes.
struct Path {
  std::string bytes;
};

struct Duration {
  std::int64_t nanoseconds = 0;
};

// A whole number within [Low, High].
template <std::int64_t Low, std::int64_t High>
struct Ranged {
  std::int64_t value = 0;
};

// Of what has numbers one, or all, or those that are ignored.
struct Chosen {
  std::optional<std::uint64_t> one{};
  bool ignored_alone = false;
};

// The word "as" between two names.
struct As {};

// What an error calls the argument: the verb's syntax, or its name where `usage` is the syntax.
struct Argument {
  std::string_view syntax;
  std::string_view word;
  std::string_view usage{};
};

inline std::unexpected<Error> refuse_empty(const Argument& a) {
  return fail(EINVAL,
              "{}: an argument is empty (\"\"); a word would do, or several in double quotes",
              a.syntax);
}

template <class T>
struct Parser;

template <>
struct Parser<std::string> {
  static Result<std::string> parse(const Argument& a) {
    if (a.word.empty()) return refuse_empty(a);
    if (text::is_utf8(a.word)) return std::string(a.word);
    return fail(EINVAL, "{}: {} is not UTF-8", a.syntax, text::shown(a.word));
  }
};

template <>
struct Parser<Path> {
  static Result<Path> parse(const Argument& a) {
    if (a.word.empty()) return refuse_empty(a);
    return Path{std::string(a.word)};
  }
};

template <std::integral T>
struct Parser<T> {
  static Result<T> parse(const Argument& a) {
    if (const auto value = text::number<T>(a.word)) return *value;
    if (a.word.find_first_not_of("0123456789") == a.word.npos && !a.word.empty()) {
      return fail(EINVAL, "{}: {} is too large; the largest is {}", a.syntax, text::shown(a.word),
                  std::numeric_limits<T>::max());
    }
    const bool follows_path = a.syntax.contains("PATH ") || a.usage.contains("PATH ");
    return fail(EINVAL, "{}: {} is no whole number, as 7 is{}", a.syntax, text::shown(a.word),
                follows_path ? "; a path with blanks is one word in double quotes" : "");
  }
};

template <>
struct Parser<Chosen> {
  static Result<Chosen> parse(const Argument& a) {
    if (const auto one = text::number<std::uint64_t>(a.word)) return Chosen{.one = one};
    if (a.word == "all" || a.word == "ignored") return Chosen{.ignored_alone = a.word != "all"};
    return fail(EINVAL, "{}: {} is no number; that of a conflict, all or ignored would do",
                a.syntax, text::shown(a.word));
  }
};

template <std::int64_t Low, std::int64_t High>
struct Parser<Ranged<Low, High>> {
  static Result<Ranged<Low, High>> parse(const Argument& a) {
    const auto value = text::number<std::int64_t>(a.word);
    if (value && *value >= Low && *value <= High) return Ranged<Low, High>{*value};
    return fail(EINVAL, "{}: {} is no whole number from {} to {}", a.syntax, text::shown(a.word),
                Low, High);
  }
};

template <>
struct Parser<Duration> {
  static Result<Duration> parse(const Argument& a) {
    if (const auto value = text::duration(a.word)) return Duration{*value};
    return fail(EINVAL, "{}: {} is no duration; 90s, 10m, 2h or 1d would do", a.syntax,
                text::shown(a.word));
  }
};

template <>
struct Parser<ProcessId> {
  static Result<ProcessId> parse(const Argument& a) {
    if (const auto value = text::number<std::uint64_t>(a.word); value && *value > 0) {
      return ProcessId{*value};
    }
    return fail(EINVAL, "{}: {} is no process id; a number of /proc would do", a.syntax,
                text::shown(a.word));
  }
};

template <>
struct Parser<As> {
  static Result<As> parse(const Argument& a) {
    if (a.word == "as") return As{};
    return fail(EINVAL, "{}: {} where the word as belongs", a.syntax, text::shown(a.word));
  }
};

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;

}  // namespace agentfs::fcp
