// SPDX-License-Identifier: MIT
// What many paths of a tree lead to.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// Fast where one path after the other is in the same directory. One thread; the store is borrowed.
class Places {
 public:
  Places(TreeStore& store, TreeNodeRef root) : store_(store), root_(std::move(root)) {}

  // With no link where it leads to nothing, or to nothing that the daemon may see.
  Result<struct stat> look(const std::string& path);
  // Of the path looked at last: something above it is a file or a link, and no directory.
  bool is_below_file() const { return is_below_file_; }
  // Of a directory; false of what is none.
  bool has_names(const std::string& path);

 private:
  TreeStore& store_;
  const TreeNodeRef root_;
  std::optional<std::string> known_;
  TreeNodeRef node_;  // null: no directory
  bool is_below_file_ = false;
};

}  // namespace agentfs
