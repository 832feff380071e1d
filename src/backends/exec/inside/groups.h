// SPDX-License-Identifier: MIT
// Control groups: made and joined by this program, because joining can take the kernel 10 ms.
#pragma once

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {

// Makes the command's groups, writes their limits and puts this process (of one thread) into them.
// Ends the program where that fails: a command never runs without its limits.
void join_groups(const Spec& spec);

}  // namespace agentfs::exec
