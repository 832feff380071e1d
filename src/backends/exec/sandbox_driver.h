// SPDX-License-Identifier: MIT
// Command lines on this machine, in a sandbox of bubblewrap, Landlock and seccomp.
#pragma once

#include <memory>
#include <string>

#include "backends/exec_driver.h"
#include "base/event_loop.h"

namespace agentfs {

// The ExecDriver of /dev/local. Owned by main; the event loop must outlive it and still run when
// it is destroyed: the destructor (not on the event thread) kills what runs, has it answered as
// cancelled and waits until it is gone. Commands cost no thread. They are started from the event
// thread, because the kernel ties their death to that of the thread that started them.
//
// The daemon itself never touches a path of a request; bubblewrap and the first process inside do.
class SandboxDriver final : public ExecDriver {
 public:
  // `program` is agentfs-sandbox (find_sandbox_program()). Looks for bubblewrap and for cgroups,
  // which blocks for some milliseconds; where there is no bubblewrap, each start() says so.
  SandboxDriver(EventLoop& loop, std::string program);
  ~SandboxDriver() override;

  void start(ExecRequest request, std::function<void(const ExecStarted&)> started,
             Completion<ExecReply> done) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// find_own_program() of agentfs-sandbox.
Result<std::string> find_sandbox_program();

}  // namespace agentfs
