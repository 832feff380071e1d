// SPDX-License-Identifier: MIT
// The paths of a kernel that has no mount.
#pragma once

#include "kernel/namespace.h"

namespace agentfs {

// Answers ENOENT to everything: stands in until Kernel::set_namespace().
Namespace& no_namespace();

}  // namespace agentfs
