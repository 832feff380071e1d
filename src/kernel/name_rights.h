// SPDX-License-Identifier: MIT
// Whether who asks for a change of a whole tree could make it by hand, name by name.
#pragma once

#include <unistd.h>

#include <map>
#include <string>
#include <utility>

#include "backends/tree_store.h"
#include "kernel/caller.h"

namespace agentfs {

class Kernel;

// Whether the error of find_in_tree() says that nothing is there, and not that nobody knows.
inline bool is_absent(const Error& error) { return error.code == ENOENT || error.code == ENOTDIR; }

// The caller's rights on the directories of a tree as they are now, each asked for once. Root and
// the mount's owner have all of them, and who owns a directory has those on it, since chmod gives
// them. For one thread.
class NameRights {
 public:
  // `root` is the tree's top in `store`, which outlives this; made while the request is held.
  NameRights(const Kernel& kernel, const Caller& caller, TreeStore& store, TreeNodeRef root);
  // Whether the name may be made, removed or given to something else, by its path from the top:
  // EACCES, or what the disk says of a directory. What lies in one that is not there is judged
  // where that is made.
  Status may_change(const std::string& path) { return check(path, W_OK | X_OK); }
  // The same of what it leads to.
  Status may_reach(const std::string& path) { return check(path, X_OK); }

 private:
  Status check(const std::string& path, int mask);
  Result<bool> has(const std::string& directory, int mask);
  Result<bool> find(const std::string& directory, int mask) const;

  TreeStore& store_;
  const TreeNodeRef root_;
  const bool has_all_;
  const uid_t uid_;
  TreeCaller caller_{};
  std::map<std::pair<std::string, int>, bool> known_{};
};

}  // namespace agentfs
