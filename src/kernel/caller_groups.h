// SPDX-License-Identifier: MIT
// For whom something is done that the disk judges by groups, too.
#pragma once

#include <utility>

#include "kernel/kernel.h"

namespace agentfs {

// The caller with the supplementary groups that its process has now; while the request is held.
inline Caller with_groups(const Kernel& kernel, Caller caller) {
  caller.host.groups = kernel.exec_user(caller).groups;
  return caller;
}

}  // namespace agentfs
