// SPDX-License-Identifier: MIT
// What is in the commits of a workspace since its rules of ignored files have changed.
#pragma once

#include <set>
#include <string>

#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// Adds the paths at or below `directory` that the rules ignored in the one state of a tree and do
// not in the other, a directory for all in it; nested repositories are not looked into. Reads the
// names of the whole directory, and the files of rules alone. Errors: the store's.
Status find_unignored(TreeStore& store, const TreeNodeRef& before, const TreeNodeRef& now,
                      const std::string& directory, std::set<std::string>& found);

}  // namespace agentfs
