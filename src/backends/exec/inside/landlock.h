// SPDX-License-Identifier: MIT
// Landlock: what this process and its children may write to, by path.
#pragma once

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {

// The version of the kernel's Landlock interface; 0 where it has none.
int landlock_abi();

// Restricts this thread for good: writing only below spec.writable, /tmp, /dev/shm and the usual
// devices; TCP only where the network is granted (from version 4); no signals and no abstract
// sockets to processes outside (from version 6). Does nothing where the kernel has no Landlock,
// which is one of three layers. Ends the program on other errors.
void restrict_writes(const Spec& spec);

}  // namespace agentfs::exec
