// SPDX-License-Identifier: MIT
// Who gave an order that a restart may have to end.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/caller.h"

namespace agentfs {

namespace json {
class Value;
}

// A caller in so far as the journal tells of one, kept in an order on the disk: what a start does
// of the order is told as done by who gave it. Empty: the daemon itself.
struct StoredCaller {
  ProcessId process{};
  std::string via{};
  std::string path{};
  std::string host_command{};
  std::int64_t host_pid = 0;

  static StoredCaller of(const Caller& caller);
  // Of a process that is gone by now: the daemon, with the rest as it was.
  Caller caller(const Kernel& kernel) const;
  void write(json::Value& into) const;  // five members
  static StoredCaller read(const json::Value& from);
};

}  // namespace agentfs
