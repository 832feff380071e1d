// SPDX-License-Identifier: MIT
#include "agents/conversation.h"

#include <algorithm>
#include <unordered_map>

#include "agents/sources.h"
#include "base/text.h"

namespace agentfs::agents {
namespace {

constexpr std::int64_t kMessageOverhead =
    6;  // role, separators: tokens a message costs beside its text

// What is kept or dropped together: one message, or an assistant message with its tool results.
struct Turn {
  std::vector<const Message*> messages;
  std::uint64_t bytes = 0;
  std::int64_t tokens = 0;
  bool pinned = false;
  bool kept = true;
};

std::uint64_t bytes_of(const Message& message) {
  std::uint64_t bytes = message.text.size() + message.call_id.size();
  for (const ToolCall& call : message.calls) {
    bytes += call.id.size() + call.name.size() + call.arguments.size();
  }
  return bytes;
}

// Notes that the daemon makes for people about a run that failed are no business of the model.
bool is_for_people(const Message& message) {
  return message.role == Message::Role::system && message.text.starts_with("[failed: ");
}

using Results = std::unordered_map<std::string_view, const Message*>;

// The assistant's message and what its calls gave, in the order of the calls.
Turn turn_of(const Message& message, const Results& results) {
  Turn turn;
  turn.messages.push_back(&message);
  for (const ToolCall& call : message.calls) {
    if (const auto found = results.find(call.id); found != results.end()) {
      turn.messages.push_back(found->second);
    }
  }
  for (const Message* one : turn.messages) {
    turn.bytes += bytes_of(*one);
    turn.tokens += estimated_tokens(bytes_of(*one)) + kMessageOverhead;
  }
  return turn;
}

std::vector<Turn> turns_of(const Process& process) {
  Results results;
  for (const MessageRef& message : process.messages) {
    if (message->role == Message::Role::tool) results.emplace(message->call_id, message.get());
  }
  std::vector<Turn> turns;
  const auto add = [&](const Message& message, bool pinned) {
    if (message.role == Message::Role::tool || is_for_people(message)) return;
    turns.push_back(turn_of(message, results));
    turns.back().pinned = pinned && message.role == Message::Role::user;
  };
  const std::uint64_t run = process.run.ended == 0 ? process.run.number : 0;
  for (const MessageRef& message : process.messages) add(*message, run != 0 && message->run == run);
  for (const MessageRef& message : process.queued) add(*message, true);
  if (!turns.empty()) turns.back().pinned = true;
  return turns;
}

void drop_oldest(std::vector<Turn>& turns, std::int64_t budget) {
  std::int64_t total = 0;
  for (const Turn& turn : turns) total += turn.tokens;
  if (total <= budget) return;
  const std::int64_t step = std::max<std::int64_t>(budget / 8, 1);
  std::int64_t excess = (total - budget + step - 1) / step * step;
  for (Turn& turn : turns) {
    if (excess <= 0) break;
    if (turn.pinned) continue;
    turn.kept = false;
    excess -= turn.tokens;
  }
}

// Some servers parse the arguments again and fail on what is not JSON: it is wrapped.
std::string sendable_arguments(const std::string& arguments) {
  if (const Result<json::Value> parsed = json::parse(arguments); parsed && parsed->object()) {
    return arguments;
  }
  if (text::trim(arguments).empty()) return "{}";
  return json::dump(json::Object{{"invalid", text::to_utf8(text::prefix(arguments, 1000))}});
}

json::Value assistant_message(const Message& message) {
  json::Object object{{"role", "assistant"}};
  if (message.calls.empty() || !message.text.empty()) {
    object.emplace_back("content", message.text);
  } else {
    object.emplace_back("content", nullptr);
  }
  json::Array calls;
  for (const ToolCall& call : message.calls) {
    calls.push_back(json::Object{
        {"id", call.id},
        {"type", "function"},
        {"function",
         json::Object{{"name", call.name}, {"arguments", sendable_arguments(call.arguments)}}}});
  }
  if (!calls.empty()) object.emplace_back("tool_calls", std::move(calls));
  return object;
}

json::Value message_json(const Message& message) {
  switch (message.role) {
    case Message::Role::assistant:
      return assistant_message(message);
    case Message::Role::tool:
      return json::Object{
          {"role", "tool"}, {"tool_call_id", message.call_id}, {"content", message.text}};
    case Message::Role::system:
      return json::Object{{"role", "system"}, {"content", message.text}};
    case Message::Role::user:
      break;
  }
  // Another agent's words are marked as such; a person's are the plain request.
  std::string text = message.text;
  if (message.from.starts_with("pid ")) text = fmt::format("[from {}]\n{}", message.from, text);
  return json::Object{{"role", "user"}, {"content", std::move(text)}};
}

json::Value gap_note(const Process& process, std::size_t messages) {
  return json::Object{
      {"role", "system"},
      {"content", fmt::format("[{} earlier messages are left out here to fit the context; all of "
                              "the conversation is in /proc/{}/chat]",
                              messages, process.pid.value)}};
}

}  // namespace

Conversation conversation(const Process& process, std::int64_t budget) {
  std::vector<Turn> turns = turns_of(process);
  drop_oldest(turns, budget);
  Conversation result;
  std::size_t gap = 0;
  for (const Turn& turn : turns) {
    if (!turn.kept) {
      gap += turn.messages.size();
      continue;
    }
    if (gap > 0) result.messages.push_back(gap_note(process, gap));
    result.dropped += std::exchange(gap, 0);
    for (const Message* message : turn.messages) result.messages.push_back(message_json(*message));
    result.kept += turn.messages.size();
    result.bytes += turn.bytes;
    result.tokens += turn.tokens;
  }
  return result;
}

}  // namespace agentfs::agents
