// SPDX-License-Identifier: MIT
// Regular expressions that anybody may give: of RE2, whose time is linear in the text and in what
// they are compiled to, which is bounded as their memory is, and which none makes recurse.
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
  // EINVAL with what is wrong with it, also where it means something else to other engines.
  static Result<Expression> compile(std::string_view text);
  // Whether it is found anywhere in the text. Where that is not UTF-8, each byte of it may be a
  // character of Latin-1, too.
  bool is_in(std::string_view text) const;

 private:
  using Compiled = std::shared_ptr<const re2::RE2>;
  Expression(Compiled compiled, Compiled of_bytes)
      : compiled_(std::move(compiled)), of_bytes_(std::move(of_bytes)) {}
  Compiled compiled_;
  Compiled of_bytes_;  // null: it has characters that no byte is
};

}  // namespace agentfs
