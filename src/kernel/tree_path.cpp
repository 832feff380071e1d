// SPDX-License-Identifier: MIT
#include "kernel/tree_path.h"

#include "base/text.h"

namespace agentfs {

Result<TreeEntry> find_in_tree(TreeStore& store, const TreeNodeRef& root, std::string_view path) {
  TreeEntry entry{.node = root};
  for (const std::string_view name : text::split(path, '/')) {
    if (!name.empty()) entry = TRY(store.lookup(*entry.node, std::string(name)));
  }
  if (entry.node == root) entry.attributes = TRY(store.attributes(*root));
  return entry;
}

}  // namespace agentfs
