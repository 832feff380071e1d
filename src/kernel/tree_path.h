// SPDX-License-Identifier: MIT
// Down a path of a tree.
#pragma once

#include <string>
#include <string_view>

#include "backends/tree_store.h"

namespace agentfs {

// What `path`, relative to `root`, leads to; links are not followed. Threads: all. Errors: ENOENT,
// ENOTDIR, the store's own.
Result<TreeEntry> find_in_tree(TreeStore& store, const TreeNodeRef& root, std::string_view path);
// The text of a file, by the daemon's right, or where a link leads. EFBIG beyond 64 MiB; EBUSY
// where it is another's who changed it meanwhile.
Result<std::string> read_file(TreeStore& store, const TreeNode& node);

}  // namespace agentfs
