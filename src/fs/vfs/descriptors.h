// SPDX-License-Identifier: MIT
// The descriptors of a process of the host.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace agentfs::vfs {

// Does the process still have a descriptor of this path of a mount? A shell that writes to a
// descriptor which it keeps (`echo x >&3`) closes a copy of it each time, as the same process.
// False where it cannot be known, as of a process that ends.
bool has_descriptor(pid_t process, std::string_view path);
// Is the process ending by a signal? What it was in the middle of writing is then no command.
bool is_being_killed(pid_t process);

}  // namespace agentfs::vfs
