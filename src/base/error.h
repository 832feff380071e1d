// SPDX-License-Identifier: MIT
// Errors as values: an errno from the contract's closed vocabulary, and a sentence.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>

namespace agentfs {

// What went wrong. `code` is a positive errno. `message` is a sentence of the form
// "object: what failed (value seen); what would have worked", without a final newline.
struct Error {
  int code = 0;
  std::string message;
};

template <class T>
using Result = std::expected<T, Error>;

struct Nothing {
  friend bool operator==(Nothing, Nothing) = default;
};
using Status = Result<Nothing>;
inline Status ok() { return Nothing{}; }

// fail(EINVAL, "nice: not a number ({}); a number from -20 to 19 is", word)
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(int code, fmt::format_string<Args...> format,
                                          Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// The error of a system call that has just set errno: "object: strerror".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view object);
[[nodiscard]] std::unexpected<Error> fail_errno(int code, std::string_view object);

// "ENOENT" for ENOENT; "E1234" for a number without a name.
std::string errno_name(int code);

}  // namespace agentfs

// Takes the value out of a Result, or returns its error from the enclosing function.
#define TRY(expression)                                                       \
  __extension__({                                                             \
    auto&& try_result_ = (expression);                                        \
    if (!try_result_) return std::unexpected(std::move(try_result_).error()); \
    *std::move(try_result_);                                                  \
  })
