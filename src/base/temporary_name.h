// SPDX-License-Identifier: MIT
// Names of files that lie ready beside the one they are to be renamed over.
#pragma once

#include <string>
#include <string_view>

namespace agentfs {

std::string temporary_name();  // ".agentfs-1d9992d1d267", another each time
bool is_temporary_name(std::string_view name);
// Where a merge has its files, in the root of the tree that it changes.
inline constexpr const char* kMergeDirectory = ".agentfs-merge";

}  // namespace agentfs
