// SPDX-License-Identifier: MIT
// Down a path of a tree.
#pragma once

#include <string_view>

#include "backends/tree_store.h"

namespace agentfs {

// What `path`, relative to `root`, leads to; links are not followed. Threads: all. Errors: ENOENT,
// ENOTDIR, the store's own.
Result<TreeEntry> find_in_tree(TreeStore& store, const TreeNodeRef& root, std::string_view path);

}  // namespace agentfs
