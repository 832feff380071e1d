// SPDX-License-Identifier: MIT
// Processes made by hand, for tests of pure functions over them.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernel/process.h"

namespace agentfs::agents::test {

inline Process process_in_run(std::uint64_t run = 1) {
  Process process;
  process.pid = ProcessId{7};
  process.name = "fixer";
  process.user = "root";
  process.cwd = "/home/root";
  process.state = RunState::running;
  process.run.number = run;
  process.run.started = 1;
  return process;
}

inline Message& add_message(Process& process, Message::Role role, std::string text) {
  auto message = std::make_shared<Message>();
  message->role = role;
  message->number = process.messages.size() + 1;
  message->time = 1'700'000'000'000'000'000;
  message->text = std::move(text);
  message->run = process.run.number;
  process.messages.push_back(message);
  return *message;
}

inline Call& add_call(Process& process, std::string tool, Call::State state) {
  auto call = std::make_shared<Call>();
  call->number = process.calls.size() + 1;
  call->id = fmt::format("c{}", call->number);
  call->tool = std::move(tool);
  call->arguments = "{}";
  call->state = state;
  call->run = process.run.number;
  if (state != Call::State::pending && state != Call::State::running) call->ended = 5;
  process.calls.push_back(call);
  return *call;
}

// An assistant message that makes the calls, each an entry of the ledger.
inline void add_turn(Process& process, const std::vector<std::string>& tools,
                     Call::State state = Call::State::pending) {
  Message& message = add_message(process, Message::Role::assistant, "");
  for (const std::string& tool : tools) {
    add_call(process, tool, state);
    message.calls.push_back({process.calls.back()->id, tool, "{}"});
  }
}

inline void add_result(Process& process, const std::string& id, std::string text) {
  add_message(process, Message::Role::tool, std::move(text)).call_id = id;
}

}  // namespace agentfs::agents::test
