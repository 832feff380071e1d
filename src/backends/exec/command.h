// SPDX-License-Identifier: MIT
// One running command, from its start to its reply.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "backends/exec/cgroups.h"
#include "backends/exec_driver.h"
#include "base/event_loop.h"
#include "base/spawn.h"

namespace agentfs::exec {

// What a command is started with, beside the request.
struct Launch {
  std::vector<std::string> arguments;  // agentfs-sandbox and what it is to do
  CommandGroups groups;
  std::string specification;   // inside/protocol.h
  bool limits_memory = false;  // by a cgroup
};

// Threads: the event thread only; the owner (SandboxDriver) keeps it until it calls `gone`, which
// it does exactly once after begin(): when it has replied and has been reaped, or never ran.
//
// States: starting (bubblewrap at work) -> running (told to go) -> ended. stop() is possible in
// each. The reply is given when the first process has been reaped, which in a sandbox is after
// every other process there; a command that cannot be killed (blocked in a driver) is answered
// for after kGiveUp and reaped whenever that becomes possible.
class Command {
 public:
  using Started = std::function<void(const ExecStarted&)>;

  Command(EventLoop& loop, ExecRequest request, Started started, Completion<ExecReply> done);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  void begin(Launch launch, std::function<void()> gone);
  void stop(std::string_view reason);  // "timeout", "cancel", "output"
  void fail_start(Error error) { done_.complete(std::unexpected(std::move(error))); }
  const ExecRequest& request() const { return request_; }

 private:
  struct Outcome {
    char kind = 0;  // as in inside/protocol.h
    int number = 0;
    std::string text;
  };

  Status open_and_spawn();
  void watch();
  void on_output();
  void on_info();
  void on_control();
  void on_exit();
  bool read_output(int most_chunks);  // false when there is nothing more for now
  void keep_output(std::string_view bytes);
  void begin_when_ready();
  void kill_command();
  void escalate();
  void answer();
  Result<ExecReply> reply() const;
  Error why_no_sandbox() const;
  void remove_groups(int attempts);
  void close_everything();

  EventLoop& loop_;
  ExecRequest request_;
  Started started_;
  Completion<ExecReply> done_;
  std::function<void()> gone_;
  Launch launch_;

  UniqueFd process_;  // pidfd of what we started: bubblewrap, or the supervisor
  UniqueFd init_;     // pidfd of the first process inside
  UniqueFd output_pipe_;
  UniqueFd info_pipe_;
  UniqueFd control_;
  pid_t pid_ = 0;
  EventLoop::TimerId timeout_ = 0;
  EventLoop::TimerId escalation_ = 0;

  std::string info_;
  ExecStarted identity_;
  bool ready_ = false;  // the first process stands at the gate
  bool told_to_go_ = false;
  std::optional<Outcome> outcome_;
  std::string stop_reason_;
  int stop_steps_ = 0;
  bool out_of_memory_ = false;
  bool abandoned_ = false;
  std::string output_;
  std::int64_t dropped_ = 0;
  std::int64_t begun_ = 0;
};

}  // namespace agentfs::exec
