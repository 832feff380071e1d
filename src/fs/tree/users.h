// SPDX-License-Identifier: MIT
#pragma once

#include "fs/tree/tables.h"

namespace agentfs::tree {

extern const vfs::Directory<Kernel> kUsersDirectory;  // /sys/users

}  // namespace agentfs::tree
