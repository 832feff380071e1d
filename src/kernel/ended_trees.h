// SPDX-License-Identifier: MIT
// Workspaces and homes that are gone, by the path that they had, which another may have by now.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "kernel/record.h"

namespace agentfs {

// The last of each that was of the tree; of two with one path, the later one's. Zeros: none was.
struct EndedTree {
  Sequence record{};
  std::uint64_t version = 0;
  std::uint64_t refusal = 0;
};
using EndedTrees = std::map<std::string, EndedTree>;  // by "/workspaces/site"

// "/workspaces/site/a/b" -> "/workspaces/site"; "" for what lies in no workspace and no home.
std::string_view tree_of(std::string_view path);
// Those that have not had their paths any more since this record, of a remove, a discard or a
// rename.
std::vector<std::string> trees_ended_by(const Record& record);

}  // namespace agentfs
