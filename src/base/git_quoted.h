// SPDX-License-Identifier: MIT
// Names as git writes them.
#pragma once

#include <string>
#include <string_view>

namespace agentfs {

// As with core.quotePath: in double quotes where it has a control byte, a quote, a backslash or a
// byte beyond ASCII, those escaped as in C. Also where a component ends in a space, of which git
// apply would not find the end.
std::string git_quoted(std::string_view name);

}  // namespace agentfs
