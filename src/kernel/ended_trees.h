// SPDX-License-Identifier: MIT
// Workspaces and homes that are gone, by the path that they had, which another may have by now.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"

namespace agentfs {

// The last of each that was of the tree; of two with one path, the later one's. Zeros: none was.
struct EndedTree {
  Sequence record{};
  std::uint64_t version = 0;
  std::uint64_t refusal = 0;
};
using EndedTrees = std::map<std::string, EndedTree>;  // by "/workspaces/site"

}  // namespace agentfs
