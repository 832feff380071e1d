// SPDX-License-Identifier: MIT
// Landlock: what this process and its children may write to, by path.
#pragma once

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {

// Restricts this thread for good: writing only below spec.writable, /tmp, /dev/shm and the usual
// devices; no signals and no abstract sockets to processes outside (from version 6). TCP is left
// alone: without a grant there is only a loopback of the command's own, which tests may use. Does
// nothing where the kernel has no Landlock, which is one of three layers. Ends the program on other
// errors.
void restrict_writes(const Spec& spec);

}  // namespace agentfs::exec
