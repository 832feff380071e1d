// SPDX-License-Identifier: MIT
// How one attempt at a request ends, when it does not end well.
#pragma once

#include <cstdint>
#include <optional>

#include "backends/http/dialect.h"
#include "base/error.h"

namespace agentfs::http {

// An error, with what decides whether another attempt is made.
struct Failure {
  Error error;
  bool may_pass = false;                      // another attempt may do better
  std::optional<std::int64_t> retry_after{};  // nanoseconds the server asks to wait
  std::optional<Dialect> other_form{};        // in which the server may take the request at once
};

template <class T>
using Attempt = std::expected<T, Failure>;

template <class... Args>
[[nodiscard]] std::unexpected<Failure> final_failure(int code, fmt::format_string<Args...> format,
                                                     Args&&... args) {
  return std::unexpected(Failure{{code, fmt::format(format, std::forward<Args>(args)...)}});
}

template <class... Args>
[[nodiscard]] std::unexpected<Failure> passing_failure(int code, fmt::format_string<Args...> format,
                                                       Args&&... args) {
  return std::unexpected(Failure{{code, fmt::format(format, std::forward<Args>(args)...)}, true});
}

}  // namespace agentfs::http
