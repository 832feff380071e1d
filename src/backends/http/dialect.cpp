// SPDX-License-Identifier: MIT
#include "backends/http/dialect.h"

namespace agentfs::http {

// By the names alone: the words around them are other ones on each server.
std::optional<Dialect> other_form(std::string_view body, const Dialect& asked) {
  Dialect other = asked;
  if (body.contains("max_completion_tokens")) other.completion_tokens = true;
  if (body.contains("stream_options")) other.stream_options = false;
  return other == asked ? std::nullopt : std::optional(other);
}

}  // namespace agentfs::http
