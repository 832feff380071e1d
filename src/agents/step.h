// SPDX-License-Identifier: MIT
// What an agent does next: a function of its durable state, so that it goes on from any instant.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/process.h"

namespace agentfs::agents {

// What is under way for a process in this daemon; lost with it, never needed to go on.
struct UnderWay {
  bool model = false;
  std::set<std::uint64_t> calls;  // numbers
  std::int64_t max_parallel = 4;
};

struct Step {
  enum class Kind {
    rest,         // nothing to do until something happens
    begin_run,    // messages are queued and no run is under way
    ask_model,    // the conversation waits for the assistant
    begin_calls,  // `calls` may begin now
    end_calls,    // `calls` run in the ledger but not in this daemon: told as interrupted
    end_run,      // with `outcome` and `text`
  } kind = Kind::rest;
  std::vector<CallRef> calls;
  std::string outcome;
  std::string text;
};

// The whole state machine. Calls begin in the order the model gave them; those that only ask run
// beside each other, up to max_parallel; one that may change something runs alone, after all that
// came before it, since it may depend on them.
Step next_step(const Process& process, const UnderWay& under_way);

// A system message beginning with this stands at the end of a failed run's conversation, so that
// the reason stays in chat when later runs follow: "[failed: <reason>]".
inline constexpr std::string_view kFailed = "[failed: ";

}  // namespace agentfs::agents
