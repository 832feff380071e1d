// SPDX-License-Identifier: MIT
// What a commit looks at where whole directories may have changed.
#pragma once

#include <string>
#include <vector>

#include "backends/forest.h"

namespace agentfs {

// The paths in which two states of a workspace differ, as a commit is told of them: a directory
// stands for all in it where it is new, or of another mode or owner; of repositories there is what
// noted_change() says. Costs as much as there are names in the directories that differ. Errors: the
// disk's.
Result<std::vector<std::string>> changes_between(Forest& forest, TreeNodeRef before,
                                                 TreeNodeRef after);

}  // namespace agentfs
