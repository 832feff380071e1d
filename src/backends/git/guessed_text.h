// SPDX-License-Identifier: MIT
// What git's program takes for text where nothing says so (convert.c of git 2.39).
#pragma once

#include <string_view>

namespace agentfs::git {

struct Endings {
  bool has_crlf = false;
  bool is_binary = false;  // a NUL, a CR without LF, or more than one byte of 128 not printed
};
Endings endings_of(std::string_view bytes);

}  // namespace agentfs::git
