// SPDX-License-Identifier: MIT
// The names of the files that hold what is kept; open_past() (past.h) says what they are made of.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backends/past_store.h"

namespace agentfs {

// Whether a name can carry the whole path.
bool fits_a_name(std::string_view path);
std::string file_name(const PastName& name);
// Nothing for what is no such name; its path is whole or the beginning of one.
std::optional<PastName> parse_name(std::string_view name);

}  // namespace agentfs
