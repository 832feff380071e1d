// SPDX-License-Identifier: MIT
// What two trees of a family have in common since the last merge of one into the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/forest.h"

namespace agentfs {

class Kernel;

// A part of its kernel. A merge begins with a hidden state of the tree that is merged; when it has
// been made whole, that state is what the next merge of the two, either way, begins from. Recorded
// as STATE/merge-bases/<into>.<from>, the trees by their numbers. Threads: all, one merge of two
// trees at a time.
class MergeBases {
 public:
  explicit MergeBases(Kernel& kernel) : kernel_(kernel) {}

  // The label of such a state; no name of a checkpoint has a slash.
  static bool is_label(const std::string& label) { return label.contains('/'); }

  // The state of `from` as it is now, for a merge into `root`.
  Result<SnapshotId> begin(const std::string& root, const std::string& from);
  void drop(const std::string& from, SnapshotId state);  // the merge was not made
  Status set(const std::string& root, const std::string& from, SnapshotId state);
  // Of the last merge, whichever way; null: there was none since they parted.
  std::optional<SnapshotId> find(const std::string& root, const std::string& from) const;
  // The tree goes back to an earlier state, or away: what was merged may be gone from it.
  Status forget(const std::string& root);

 private:
  std::string directory() const;
  Kernel& kernel_;
};

}  // namespace agentfs
