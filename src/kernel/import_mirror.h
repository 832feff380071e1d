// SPDX-License-Identifier: MIT
// The hidden tree of an import, kept as the directory of the host is.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/forest.h"
#include "backends/import_store.h"

namespace agentfs {

// One thread. Changes `root` at the paths of the drifts, which are recorded already: what is gone
// goes, from below; what is new is lent, from above.
class ImportMirror {
 public:
  ImportMirror(Forest& forest, const ImportStore& store, std::uint32_t id, TreeNodeRef root)
      : forest_(forest), store_(store), id_(id), root_(std::move(root)) {}
  Status apply(const std::vector<HostDrift>& drifts);
  // Owner, mode and times of the root.
  Status set_root() { return set(*root_, ""); }

 private:
  Result<TreeNodeRef> directory(const std::string& path);
  Status remove(const HostDrift& drift);
  Status add(const HostDrift& drift);
  Status set(const TreeNode& node, const std::string& path);

  Forest& forest_;
  const ImportStore& store_;
  const std::uint32_t id_;
  const TreeNodeRef root_;
  std::string known_path_{};
  TreeNodeRef known_{};  // the directory found last
};

}  // namespace agentfs
