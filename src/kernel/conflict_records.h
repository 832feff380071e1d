// SPDX-License-Identifier: MIT
// Conflicts that a merge has left, as they are stored.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "kernel/merges.h"

namespace agentfs {

std::string stored(const MergeConflicts& conflicts);
// The reverse, but for the sides. EBADMSG: not whole.
Result<MergeConflicts> conflicts_in(std::string_view text);

}  // namespace agentfs
