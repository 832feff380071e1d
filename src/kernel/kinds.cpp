// SPDX-License-Identifier: MIT
#include "kernel/kinds.h"

#include <algorithm>
#include <array>

namespace agentfs::kind {

bool must_be_told(std::string_view kind) {
  // What happens in a tree has happened when it is told, but for a name that is taken away again.
  static constexpr auto kUndone = std::to_array<std::string_view>(
      {"tree.create", "tree.link", "tree.mkdir", "tree.mknod", "tree.symlink"});
  if (kind.starts_with(kTreePrefix)) return std::ranges::find(kUndone, kind) == kUndone.end();
  static constexpr auto kKinds = std::to_array<std::string_view>(
      {kProcessExit, kProcessReap, kProcessState, kRunEnd, kModelEnd, kModelCharge, kCallEnd,
       kTurnCommit, kCheckpointCommit, kDocumentRemove, kHistoryDrop, kHistoryRecovered,
       kConflictEnd, kControlWrite, kExecEnd});
  return std::ranges::find(kKinds, kind) != kKinds.end();
}

}  // namespace agentfs::kind
