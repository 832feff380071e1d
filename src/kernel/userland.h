// SPDX-License-Identifier: MIT
// What the kernel knows of the agents' loop.
#pragma once

#include <string>

#include "base/error.h"
#include "kernel/process.h"

namespace agentfs {

// The agents: userland that is told what to do next. agents/ implements it.
class Userland {
 public:
  virtual ~Userland() = default;
  // The process has something to do (a message, a cont, a restart): look and act. Threads: all;
  // returns at once.
  virtual void wake(ProcessId pid) = 0;
  // Stop what is under way for it: the model call and the tool calls. Threads: all; at once.
  virtual void interrupt(ProcessId pid) = 0;
  // The text that the next request to the model would carry, and one line a source that says what
  // was kept or dropped and why: /proc/<pid>/context and context.why. Changes nothing.
  virtual Result<std::string> context(const Process& process) = 0;
  virtual Result<std::string> context_why(const Process& process) = 0;
};

}  // namespace agentfs
