// SPDX-License-Identifier: MIT
// The tables of the mount. Adding a file is adding a row; see docs/ARCHITECTURE.md.
#pragma once

#include "base/json.h"
#include "fs/vfs/table.h"

namespace agentfs::tree {

const vfs::DirectoryType& root();

// Every path of the rows and every syscall: what `agentfs --dump-tree json` prints.
json::Value dump();

}  // namespace agentfs::tree
