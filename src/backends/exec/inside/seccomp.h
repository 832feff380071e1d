// SPDX-License-Identifier: MIT
// seccomp: the system calls a sandboxed command is refused.
#pragma once

namespace agentfs::exec {

// Loads the filter for this thread and what it starts: refused calls answer EPERM (clone3 ENOSYS,
// so that libc falls back to clone, whose flags a filter can read). Names unknown to the installed
// libseccomp are skipped. Ends the program where no filter can be loaded.
void refuse_system_calls();

}  // namespace agentfs::exec
