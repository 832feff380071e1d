// SPDX-License-Identifier: MIT
// Two trees walked side by side.
#pragma once

#include <string>
#include <vector>

#include "backends/compare.h"

namespace agentfs::compare {

// The differences below `path` of two trees, in no order and without renames. A side without a root
// has nothing there. `most` ends the walk when so many were found.
struct Walk {
  TreeSide before{};
  TreeSide after{};
  std::string path{};
  std::size_t most = static_cast<std::size_t>(-1);
};
Result<std::vector<PathChange>> differences(const Walk& walk, const CompareOptions& options);

}  // namespace agentfs::compare
