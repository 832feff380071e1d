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
  // These are made what was written to the directory; it is something else by now. Ordered by path.
  void hold(std::vector<HostChange> written) { held_ = std::move(written); }
  Status apply(const std::vector<HostDrift>& drifts);
  // Owner, mode and times of the root.
  Status set_root() { return set(*root_, ""); }

 private:
  Result<TreeNodeRef> directory(const std::string& path);
  Status remove(const HostDrift& drift);
  bool stays(const HostDrift& drift) const;
  const HostChange* held(const std::string& path) const;  // null: it is as the directory has it
  Status add(const HostDrift& drift);
  Status add_file(const HostDrift& drift);
  Status open_above(const std::string& path);
  Status set_mode(const TreeNode& node, mode_t mode);
  Status close_again();
  Status change_names(const std::vector<HostDrift>& drifts);
  Status set_xattrs(const TreeNode& node, const Xattrs& wanted);
  // The mode and the attributes of what has them; and what is `wanted` beside.
  Status dress(const TreeNode& node, SetAttributes wanted, const Xattrs& xattrs);
  Status set_held(const TreeNode& node, const HostChange& written);
  Status set(const TreeNode& node, const std::string& path);

  Forest& forest_;
  const ImportStore& store_;
  const std::uint32_t id_;
  const TreeNodeRef root_;
  std::vector<HostChange> held_{};
  std::string known_path_{};
  TreeNodeRef known_{};  // the directory found last
  std::vector<std::pair<std::string, mode_t>> opened_{};
};

}  // namespace agentfs
