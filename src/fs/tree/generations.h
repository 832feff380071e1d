// SPDX-License-Identifier: MIT
// /sys/gen and /sys/conflicts.
#pragma once

#include "fs/vfs/directory.h"
#include "kernel/kernel.h"

namespace agentfs::tree {

extern const vfs::Directory<Kernel> kGenerationsDirectory;
extern const vfs::Directory<Kernel> kConflictsDirectory;

}  // namespace agentfs::tree
