// SPDX-License-Identifier: MIT
// What the journal tells that moves limits, or trees that have one.
#pragma once

#include "fs/vfs/file_system.h"
#include "kernel/record.h"

namespace agentfs {

// Of each record that was committed. Threads: all.
void tell_quotas(vfs::FileSystem& files, const Record& record);

}  // namespace agentfs
