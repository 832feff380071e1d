// SPDX-License-Identifier: MIT
// A mount that takes the place of one whose daemon has died.
#pragma once

#include <string>

#include "base/error.h"

namespace agentfs::fuse {

// Moves the mount at `aside`, with all that is mounted in it, to `mountpoint`. Where a dead one
// stands there, that one goes: with MOVE_MOUNT_BENEATH (Linux 6.5), so that at no time the
// directory underneath can be reached, in which somebody's work would be lost from sight. An older
// kernel leaves a moment between the two. ECANCELED: somebody else has taken the dead one away, and
// nothing is mounted there. For root; one thread.
Status succeed(const std::string& aside, const std::string& mountpoint, bool over_dead);

}  // namespace agentfs::fuse
