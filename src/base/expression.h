// SPDX-License-Identifier: MIT
// Regular expressions that anybody may give: of RE2, whose time is linear in the text, whose memory
// is bounded, and which no expression makes recurse.
#pragma once

#include <memory>
#include <string_view>

#include "base/error.h"

namespace re2 {
class RE2;
}

namespace agentfs {

// Threads: all. In RE2's syntax, which has no back references.
class Expression {
 public:
  // EINVAL with what is wrong with it.
  static Result<Expression> compile(std::string_view text);
  // Whether it is found anywhere in the text.
  bool is_in(std::string_view text) const;

 private:
  explicit Expression(std::shared_ptr<const re2::RE2> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const re2::RE2> compiled_;
};

}  // namespace agentfs
