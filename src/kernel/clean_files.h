// SPDX-License-Identifier: MIT
// Which files of a tree git has read already, as they are.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <unordered_map>

#include "backends/repo.h"
#include "backends/tree_store.h"
#include "kernel/git_index.h"

namespace agentfs {

// By the index of the repository at the root of a tree, as git itself goes by it: a file that has
// the size, times, owner and inode that stand there has the contents, too, unless it was written
// in the second of the index, or later. Immutable.
class CleanFiles {
 public:
  CleanFiles() = default;
  CleanFiles(CleanFiles&&) = default;
  CleanFiles& operator=(CleanFiles&&) = default;
  // None where the index cannot be read.
  static CleanFiles of(TreeStore& store, const TreeNode& root);

  std::optional<KnownFile> find(const std::string& path, const struct stat& now) const;

 private:
  IndexFile index_;
  std::unordered_map<std::string, IndexEntry> entries_;  // by path; their ids are in its bytes
};

}  // namespace agentfs
