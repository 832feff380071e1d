// SPDX-License-Identifier: MIT
// `agentfs fsck`: is an unmounted state whole?
#pragma once

#include <string>

namespace agentfs {

// Checks journal, store, blobs and documents, a line each; repairs nothing. Returns 0 when all is
// well, 1 when something is damaged, 2 when the state cannot be looked at (in use, not there).
int run_fsck(const std::string& state);

}  // namespace agentfs
