// SPDX-License-Identifier: MIT
// Takes the steps: looks at a process, does what comes next, records it.
#pragma once

#include <string>

#include "agents/dispatcher.h"
#include "agents/step.h"
#include "kernel/configuration.h"
#include "kernel/kernel.h"

namespace agentfs::agents {

// Stateless but for the dispatcher's notes. act() is called for one process on one thread at a
// time. Every change goes through Kernel::commit; a record that the kernel refuses (the process
// died, the run was cancelled or stopped meanwhile) ends the act, and whoever moved the state wakes
// the process again. Where the journal cannot be written the act is tried again a second later.
class Runner {
 public:
  Runner(Kernel& kernel, Dispatcher& dispatcher) : kernel_(kernel), dispatcher_(dispatcher) {}
  // Deals with one outcome, or takes one step; true when there may be more to do at once.
  bool act(ProcessId pid);
  // Cancels what is under way for runs that are over. Threads: all; at once.
  void interrupt(ProcessId pid);

 private:
  enum class Committed { yes, refused, later };
  Committed commit(ProcessId pid, std::string_view kind, json::Object data);

  // Outcomes. False: not now, look at it again later.
  bool settle(ProcessId pid, const Arrival& arrival);
  bool settle_model(ProcessRef process, const ModelArrival& arrival);
  bool settle_failure(const Process& process, const Error& error);
  bool settle_answer(const Process& process, const ChatReply& reply);
  bool settle_call(ProcessRef process, const CallArrival& arrival);
  bool fail_run(const Process& process, const std::string& reason);

  // Steps.
  bool take(ProcessId pid, const Step& step, const Process& process);
  bool begin_run(const Process& process);
  bool ask_model(ProcessId pid);
  bool begin_call(const Process& process, const CallRef& call, const ProfileSettings& profile);
  bool end_lost_call(const Process& process, const Call& call);
  bool end_run(const Process& process, const Step& step);

  bool end_call(const Process& process, const Call& call, const Result<std::string>& result);
  void commit_files(const Process& process);
  ModelDriver::Progress progress_of(ProcessId pid);
  std::int64_t price_of(const ChatReply& reply) const;
  ProfileSettings profile_of(const Process& process) const;

  Kernel& kernel_;
  Dispatcher& dispatcher_;
};

// Ids of an answer's calls, changed where the model left one out or used it before, so that each
// names one call of the process for ever.
std::vector<ToolCall> with_unique_ids(const Process& process, std::vector<ToolCall> calls);

}  // namespace agentfs::agents
