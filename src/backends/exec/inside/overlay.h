// SPDX-License-Identifier: MIT
// The overlay that a command may see in the place of one of its binds.
#pragma once

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {

// Where the specification has an overlay: enters a mount namespace of its own and mounts it there
// over its own upper directory, so that bubblewrap, which looks that path up, binds it. Nobody else
// looks there; over a path of a FUSE mount it would go with each notification about what is above.
// To be called as root. The overlay goes with the last process of the sandbox. Ends the program on
// errors.
void mount_overlay(const Spec& spec);

// Inside: ends the program where the command would not see the overlay after all.
void check_overlay(const Spec& spec);

}  // namespace agentfs::exec
