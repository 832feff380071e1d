// SPDX-License-Identifier: MIT
// The agents: what each process with a model does, from a message to its answer.
#pragma once

#include <memory>

#include "kernel/kernel.h"

namespace agentfs::agents {

// Drives every process's runs: context, model call, tool calls, results, next turn. Durable state
// is the kernel's alone (each step is a journal record); in here is only what is under way, so an
// idle process costs nothing and a new instance goes on where any record left off.
//
// Threads: all; nothing blocks but context() and context_why(), which read files. Work is done on
// the kernel's pool, one task a process at a time. Owned by main, made after the kernel and
// destroyed before it and the drivers: the destructor takes it off the kernel, cancels what is
// under way and waits for running tasks, but writes nothing, as a crash would not.
class Agents final : public Userland {
 public:
  explicit Agents(Kernel& kernel);
  ~Agents() override;
  Agents(const Agents&) = delete;
  Agents& operator=(const Agents&) = delete;

  void wake(ProcessId pid) override;
  // Cancels the model and tool calls of a run that was cancelled, redirected or killed: record
  // its end first. What belongs to a run that is open goes on: when an interrupt comes late, the
  // next run may have begun.
  void interrupt(ProcessId pid) override;
  Result<std::string> context(const Process& process) override;
  Result<std::string> context_why(const Process& process) override;

  // Processes with something under way.
  std::size_t busy() const;

 private:
  struct Parts;
  Kernel& kernel_;
  std::shared_ptr<Parts> parts_;  // shared with the kernel's listener
};

}  // namespace agentfs::agents
