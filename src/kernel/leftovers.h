// SPDX-License-Identifier: MIT
// What a crash left of files that lay ready to be renamed over others (base/temporary_name.h).
#pragma once

namespace agentfs {

class Kernel;

// At a start, with nobody at work: those that the end of the journal tells of are removed, into the
// trash where history is kept. Never fails: what cannot be removed is told in the log.
void remove_leftovers(Kernel& kernel);

}  // namespace agentfs
