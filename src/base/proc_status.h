// SPDX-License-Identifier: MIT
// The text of /proc/<pid>/status: lines of a name, a colon and a value; proc(5).
#pragma once

#include <string_view>

#include "base/text.h"

namespace agentfs {

// The value of a name, without the blanks around it; "" where there is none.
inline std::string_view status_field(std::string_view status, std::string_view name) {
  for (const std::string_view line : text::lines(status)) {
    const bool is_it = line.starts_with(name) && line.substr(name.size()).starts_with(':');
    if (is_it) return text::trim(line.substr(name.size() + 1));
  }
  return {};
}

}  // namespace agentfs
