// SPDX-License-Identifier: MIT
// Every syscall there is, once: what /sys/syscalls, the tools and the manual are made from.
#pragma once

#include <span>

#include "kernel/syscalls/gate.h"

namespace agentfs {

struct SyscallEntry {
  SyscallRow row;
  std::vector<FieldInfo> fields;
  // Decodes the arguments and goes through the gate; blocking ones answer later, others at once.
  // The reply is text: what a file would show.
  void (*call)(const Caller&, const json::Value& arguments,
               Completion<std::string> reply) = nullptr;
};

std::span<const SyscallEntry> all_syscalls();             // sorted by name
const SyscallEntry* find_syscall(std::string_view name);  // null when there is none

}  // namespace agentfs
