// SPDX-License-Identifier: MIT
#include "support/chat_stream.h"

#include <algorithm>

#include "base/text.h"

namespace agentfs::testing {
namespace {

json::Value chunk(json::Array choices) {
  return json::Object{{"id", "chatcmpl-1"},
                      {"object", "chat.completion.chunk"},
                      {"model", "test-model"},
                      {"choices", std::move(choices)}};
}

json::Value usage_value(const TokenUsage& usage) {
  return json::Object{{"prompt_tokens", usage.input},
                      {"completion_tokens", usage.output},
                      {"total_tokens", usage.input + usage.output},
                      {"prompt_tokens_details", json::Object{{"cached_tokens", usage.cached}}}};
}

json::Value call_piece(std::size_t index, json::Object members) {
  members.insert(members.begin(), {"index", index});
  return json::Object{{"tool_calls", json::Array{std::move(members)}}};
}

std::string joined(const std::vector<std::vector<std::string>>& parts) {
  std::string body;
  for (const auto& events : parts) body += text::join(events, "");
  return body;
}

}  // namespace

std::string event(const json::Value& data) { return "data: " + json::dump(data) + "\n\n"; }

std::string delta_event(const json::Value& delta) {
  return event(chunk({json::Object{{"index", 0}, {"delta", delta}, {"finish_reason", nullptr}}}));
}

std::vector<std::string> text_events(std::string_view text, std::size_t pieces) {
  std::vector<std::string> events;
  const std::size_t size = text.size() / std::max<std::size_t>(pieces, 1) + 4;
  while (!text.empty()) {
    const std::string_view piece = text::prefix(text, size);
    events.push_back(delta_event(json::Object{{"content", piece}}));
    text.remove_prefix(piece.size());
  }
  return events;
}

std::vector<std::string> call_events(const std::vector<ToolCall>& calls) {
  constexpr std::size_t kPiece = 7;
  std::vector<std::string> events;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const json::Object function = {{"name", calls[i].name}, {"arguments", ""}};
    events.push_back(delta_event(
        call_piece(i, {{"id", calls[i].id}, {"type", "function"}, {"function", function}})));
    longest = std::max(longest, calls[i].arguments.size());
  }
  for (std::size_t at = 0; at < longest; at += kPiece) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (at >= calls[i].arguments.size()) continue;
      const json::Object function = {{"arguments", calls[i].arguments.substr(at, kPiece)}};
      events.push_back(delta_event(call_piece(i, {{"function", function}})));
    }
  }
  return events;
}

std::vector<std::string> done_events(std::string_view finish_reason, const TokenUsage& usage) {
  const json::Object last = {
      {"index", 0}, {"delta", json::Object{}}, {"finish_reason", finish_reason}};
  json::Value counts = chunk({});
  counts.set("usage", usage_value(usage));
  return {event(chunk({last})), event(counts), "data: [DONE]\n\n"};
}

std::string text_body(std::string_view text, const TokenUsage& usage) {
  return joined({text_events(text), done_events("stop", usage)});
}

std::string calls_body(const std::vector<ToolCall>& calls, std::string_view text,
                       const TokenUsage& usage) {
  return joined({text_events(text), call_events(calls), done_events("tool_calls", usage)});
}

json::Value whole_reply(std::string_view text, const std::vector<ToolCall>& calls) {
  json::Array list;
  for (const ToolCall& call : calls) {
    list.push_back(json::Object{
        {"id", call.id},
        {"type", "function"},
        {"function", json::Object{{"name", call.name}, {"arguments", call.arguments}}}});
  }
  json::Value message = json::Object{{"role", "assistant"}, {"content", text}};
  if (!list.empty()) message.set("tool_calls", list);
  const json::Object choice = {
      {"index", 0}, {"message", message}, {"finish_reason", calls.empty() ? "stop" : "tool_calls"}};
  return json::Object{{"id", "chatcmpl-1"},
                      {"object", "chat.completion"},
                      {"model", "test-model"},
                      {"choices", json::Array{choice}},
                      {"usage", usage_value({10, 5, 0, false})}};
}

}  // namespace agentfs::testing
