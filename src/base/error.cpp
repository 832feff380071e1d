// SPDX-License-Identifier: MIT
#include "base/error.h"

#include <cstring>

namespace agentfs {

std::unexpected<Error> fail_errno(int code, std::string_view object) {
  return std::unexpected(Error{code, fmt::format("{}: {}", object, ::strerror(code))});
}

std::unexpected<Error> fail_errno(std::string_view object) { return fail_errno(errno, object); }

std::string errno_name(int code) {
  const char* name = ::strerrorname_np(code);
  return name != nullptr ? name : fmt::format("E{}", code);
}

}  // namespace agentfs
