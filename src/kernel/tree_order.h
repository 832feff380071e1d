// SPDX-License-Identifier: MIT
// Forks, imports, checkpoints, rollbacks and discards, on the disk while they are under way.
#pragma once

#include "kernel/stored_order.h"

namespace agentfs {

class Kernel;
struct Caller;
struct TreeChange;

// The row of what is done with a whole tree comes after it was done, that of a discard before its
// last step, which nothing could take back; and a kill may come between. `row` is what is going to
// be told, as far as it is known. Not for a power cut, which may take the change itself; and where
// the disk has no room for it, it goes without.
StoredOrder begin_tree_order(const Kernel& kernel, const Caller& caller, const TreeChange& row);
// At a start: what was done and not told is told, by who did it; a discard that was told is done.
void end_tree_orders(Kernel& kernel);

}  // namespace agentfs
