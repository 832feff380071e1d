// SPDX-License-Identifier: MIT
// Whose rights the command has.
#pragma once

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {

// Becomes the user that the specification names, for good: groups, gid, uid. Ends the program where
// that fails: a command never runs with more rights than its user's. The parent-death signal is
// lost by it.
void become_user(const Spec& spec);

}  // namespace agentfs::exec
