// SPDX-License-Identifier: MIT
// What of a mode is permissions, and not the type of a file.
#pragma once

#include <sys/types.h>

namespace agentfs {

inline constexpr mode_t kPermissions = 07777;

}  // namespace agentfs
