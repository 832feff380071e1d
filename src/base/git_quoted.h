// SPDX-License-Identifier: MIT
// Names as git writes them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace agentfs {

// As with core.quotePath: in double quotes where it has a control byte, a quote, a backslash or a
// byte beyond ASCII, those escaped as in C. Also where a component ends in a space, of which git
// apply would not find the end.
std::string git_quoted(std::string_view name);
// The same for people: UTF-8 stays as it is, and what has a blank stands in quotes.
std::string quoted_for_people(std::string_view name);
// The byte that an escape stands for, behind its backslash: a letter as above, three octal digits,
// or else the character itself. `at` is moved to the last character of it.
char git_unescaped(std::string_view text, std::size_t& at);

}  // namespace agentfs
