// SPDX-License-Identifier: MIT
// Files of a tree as they are compared: their state, their bytes, one path after another.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compare.h"
#include "base/permissions.h"

namespace agentfs::compare {

// One file of a side.
struct Leaf {
  TreeStore* store = nullptr;
  TreeEntry entry{};
};

bool is_gone(const Error& error);        // ENOENT, ENOTDIR, ESTALE
bool is_unreadable(const Error& error);  // EACCES, EPERM; EBUSY of a lent file that has changed

// Whether two states are of one file that nobody changed in between.
bool is_same_file(const FileState& one, const FileState& other);
// Permissions differ, of what has any.
bool modes_differ(const FileState& one, const FileState& other);
// git's mode of a file: 100644, 100755 or 120000.
mode_t git_mode(mode_t mode);
bool is_in_patches(mode_t mode);  // a regular file or a link

// The bytes of a file or the target of a link; "" of anything else. EFBIG beyond `largest`.
Result<std::string> read_leaf(const Leaf& leaf, std::int64_t largest);
// Of two files of one type, whether bytes, targets or device numbers are equal.
Result<bool> same_content(const Leaf& one, const Leaf& other);
// A hash of the bytes or the target; equal ones are the same content.
Result<std::string> digest_of(const Leaf& leaf);

// Sorted, without "." and ".."; none where the directory is gone.
Result<std::vector<std::string>> names_of(TreeStore& store, const TreeNode& directory);

// Finds the entries of a tree by path, cheaply where one path is near the last one. Not shared
// between threads. What it found stays known until forget().
class PathFinder {
 public:
  explicit PathFinder(TreeSide side) : side_(std::move(side)) {}
  // Nothing where the path leads to nothing. "" is the root.
  Result<std::optional<TreeEntry>> find(std::string_view path);
  // One that does not exist where there is nothing. What is read of a file afterwards is of this
  // state, or the file has another: where its disk's times need a tick for that, it is waited for.
  Result<FileState> state(std::string_view path);
  Result<Leaf> leaf(std::string_view path);  // ESTALE where there is nothing
  void forget() { known_.clear(); }
  TreeStore& store() const { return *side_.store; }
  const TreeSide& side() const { return side_; }

 private:
  struct Known {
    std::string name;
    TreeNodeRef directory;
  };
  TreeSide side_;
  std::vector<Known> known_;  // the directories on the way to the last path
};

}  // namespace agentfs::compare
