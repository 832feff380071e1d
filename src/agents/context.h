// SPDX-License-Identifier: MIT
// What a request to the model carries, made afresh from the process and the files around it.
#pragma once

#include <string>
#include <vector>

#include "agents/conversation.h"
#include "agents/sources.h"
#include "kernel/kernel.h"

namespace agentfs::agents {

// Stable parts first, so that providers' caches hold: one system message (who the agent is, then
// the sources in their order), the conversation, and the tools.
struct Context {
  json::Array messages;
  json::Array tools;
  std::vector<Source> fixed;  // the system prompt and the tools: always kept, without their text
  std::vector<Source> sources;
  Conversation conversation;   // its messages have moved into `messages`
  std::int64_t window = 0;     // tokens that the model or the profile allows
  std::int64_t available = 0;  // of these, for sources and conversation
  std::int64_t conversation_budget = 0;
};

// Threads: all; may block on files. Changes nothing. Errors: ENOENT for a profile there is not.
Result<Context> assemble(Kernel& kernel, const Process& process, Reader reader);

// /proc/<pid>/context: {"messages":[…],"tools":[…]} of the next request, indented by two spaces.
std::string show_context(const Context& context);
// /proc/<pid>/context.why: "<path>\t<bytes>\t<tokens>\t<kept, dropped: …, or absent>\n" a source,
// in the order of the walk; before them the names of the columns and lines "system prompt" and
// "tools", behind them a line "conversation" with its messages kept and dropped.
std::string show_why(const Context& context);

}  // namespace agentfs::agents
