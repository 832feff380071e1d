// SPDX-License-Identifier: MIT
#include "base/expression.h"

#include <re2/re2.h>

#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::int64_t kMemory = std::int64_t{8} << 20;  // of one, compiled and at work
constexpr std::size_t kLongest = 4'096;

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

Result<Expression> Expression::compile(std::string_view text) {
  if (text.size() > kLongest) {
    return fail(EINVAL, "no regular expression of so many bytes ({}); up to {} would do",
                text.size(), kLongest);
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemory);
  options.set_never_capture(true);
  auto compiled = std::make_shared<const RE2>(piece(text), options);
  if (compiled->ok()) return Expression(std::move(compiled));
  return fail(EINVAL, "no regular expression as RE2 has them ({}): {}", text::shown(text),
              compiled->error());
}

bool Expression::is_in(std::string_view text) const {
  return RE2::PartialMatch(piece(text), *compiled_);
}

}  // namespace agentfs
