// SPDX-License-Identifier: MIT
#include "kernel/kinds.h"

#include <algorithm>
#include <array>

namespace agentfs::kind {

bool must_be_told(std::string_view kind) {
  static constexpr auto kKinds = std::to_array<std::string_view>(
      {kProcessExit, kProcessReap, kProcessState, kRunEnd, kModelEnd, kModelCharge, kCallEnd,
       kTurnCommit, kCheckpointCommit, kDocumentRemove, kHistoryDrop, kHistoryRecovered,
       kConflictEnd, kControlWrite, kExecEnd, "tree.remove", "tree.truncate", "tree.write"});
  return std::ranges::find(kKinds, kind) != kKinds.end();
}

}  // namespace agentfs::kind
