// SPDX-License-Identifier: MIT
// Whether git packs the repository of a workspace just now: git-gc(1), which git starts by itself,
// too.
#pragma once

#include <sys/types.h>

#include <optional>

#include "backends/tree_store.h"

namespace agentfs {

// The process of the host that `git gc` runs as in the repository of this tree. It first packs and
// then removes what it has packed, with no file open in between, so nothing that is done to the
// tree meanwhile may part the two. Nothing where the process that .git/gc.pid names has ended: git
// leaves the file behind when it is killed. Of a process in a namespace of its own the file has the
// number there. Threads: all.
std::optional<pid_t> packing_process(TreeStore& store, const TreeNodeRef& root);

}  // namespace agentfs
