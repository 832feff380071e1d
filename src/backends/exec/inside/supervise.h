// SPDX-License-Identifier: MIT
// Runs the command as a child, waits for it, and leaves nothing of it behind.
#pragma once

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {

enum class Confinement { sandbox, none };

// Waits for the daemon's word, runs `sh -c` and reports how it ended; never returns. In the
// sandbox this process is the first of its pid namespace: its own end kills everything in there,
// and cannot be waited for before that has happened. Without a sandbox it is the subreaper of all
// that the command starts, and kills that by hand, also when the daemon dies or sends SIGTERM; the
// command alone becomes the user that the specification names.
[[noreturn]] void supervise(const Spec& spec, Confinement confinement);

}  // namespace agentfs::exec
