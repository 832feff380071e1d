// SPDX-License-Identifier: MIT
// Where the trees of imports are in the mount.
#pragma once

#include <string>

#include "backends/import_names.h"

namespace agentfs::import_names {

inline constexpr char kTop[] = "/workspaces";

inline std::string path_of(const std::string& name) { return fmt::format("{}/{}", kTop, name); }

}  // namespace agentfs::import_names
