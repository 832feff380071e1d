// SPDX-License-Identifier: MIT
// The conversation in the form of OpenAI's chat completions, cut to what the model can take.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/json.h"
#include "kernel/process.h"

namespace agentfs::agents {

struct Conversation {
  json::Array messages;
  std::size_t kept = 0;     // messages of the process that are in it
  std::size_t dropped = 0;  // and that are not
  std::uint64_t bytes = 0;  // of the texts and calls that are kept
  std::int64_t tokens = 0;  // estimated
};

// The process's messages and then its queued ones, as the next request carries them.
//
// Always valid for the API: an assistant message with calls is followed by exactly one tool message
// a call, in the order of the calls, whatever order they ended in. The newest messages are kept
// within `budget` tokens; the oldest go in whole turns (an assistant message with its results), but
// for the user messages of the run under way and the last turn. What goes is rounded up to an
// eighth of the budget, so that the beginning stays the same for several requests and the
// provider's cache holds. Where messages are left out a system message says so.
Conversation conversation(const Process& process, std::int64_t budget);

}  // namespace agentfs::agents
