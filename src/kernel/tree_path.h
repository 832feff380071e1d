// SPDX-License-Identifier: MIT
// Down a path of a tree.
#pragma once

#include <string>
#include <string_view>

#include "backends/tree_store.h"

namespace agentfs {

class Kernel;

// The path of a name in a directory whose path is relative, "" of the root.
inline std::string path_in(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : fmt::format("{}/{}", directory, name);
}
// What `path`, relative to `root`, leads to; links are not followed. Threads: all. Errors: ENOENT,
// ENOTDIR, the store's own.
Result<TreeEntry> find_in_tree(TreeStore& store, const TreeNodeRef& root, std::string_view path);
// The same by a path of the mount, in the forest that has it; ENOENT also where none has.
struct PlacedEntry {
  TreeStore* store = nullptr;
  TreeEntry entry{};
};
Result<PlacedEntry> find_in_mount(const Kernel& kernel, std::string_view path);
// The text of a file, by the daemon's right, or where a link leads. EFBIG beyond 64 MiB; EBUSY
// where it is another's who changed it meanwhile.
Result<std::string> read_file(TreeStore& store, const TreeNode& node);
// The text of rules of ignored files, by a path from a directory: "" where there is none, or what
// is no plain file of at most 1 MiB, or closed to the daemon.
Result<std::string> read_rules(TreeStore& store, const TreeNodeRef& directory,
                               std::string_view path);

}  // namespace agentfs
