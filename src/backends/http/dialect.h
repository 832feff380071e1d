// SPDX-License-Identifier: MIT
// In what servers differ about the form of a request.
#pragma once

#include <optional>
#include <string_view>

namespace agentfs::http {

// The form of a request. What it is until a server has refused it is what most servers take.
struct Dialect {
  bool completion_tokens = false;  // max_completion_tokens stands for max_tokens
  bool stream_options = true;      // is sent with a stream

  bool operator==(const Dialect&) const = default;
};

// The form to ask in after an answer of 400 or 422 with this body to a request of form `asked`;
// nothing where the answer names no member that could be left out or be called otherwise.
std::optional<Dialect> other_form(std::string_view body, const Dialect& asked);

}  // namespace agentfs::http
