// SPDX-License-Identifier: MIT
#include "backends/script/player.h"

#include <vector>

#include "base/text.h"

namespace agentfs::script {
namespace {

constexpr std::string_view kMark = "[script] ";
constexpr std::string_view kInterrupted = "interrupted:";

// The text of a message whose content is a string or a list of parts.
std::string content_of(const json::Value& message) {
  const json::Value& content = message["content"];
  if (content.array() == nullptr) return std::string(content.text());
  std::string text;
  for (const json::Value& part : *content.array()) text += part["text"].text();
  return text;
}

// What the choice of a step and its texts depend on.
struct Situation {
  std::string last_user;
  std::vector<std::string> results;  // of tools, since the last user message
  std::int64_t counted = 0;          // assistant messages since then whose calls all ended
  std::int64_t answers = 0;          // assistant messages in all
};

Situation situation_of(const json::Array& messages) {
  Situation now;
  bool counts = false;  // the newest assistant message was counted
  for (const json::Value& message : messages) {
    const std::string_view role = message["role"].text();
    if (role == "user") {
      now = {content_of(message), {}, 0, now.answers};
      counts = false;
    } else if (role == "assistant") {
      ++now.answers;
      ++now.counted;
      counts = true;
    } else if (role == "tool") {
      now.results.push_back(content_of(message));
      if (!now.results.back().starts_with(kInterrupted) || !counts) continue;
      --now.counted;
      counts = false;
    }
  }
  return now;
}

std::string value_of(std::string_view name, const Situation& now, std::string_view otherwise) {
  if (name == "last_user") return now.last_user;
  constexpr std::string_view kResult = "result:";
  if (!name.starts_with(kResult)) return std::string(otherwise);
  const auto number = text::number<std::size_t>(name.substr(kResult.size()));
  if (!number || *number == 0) return std::string(otherwise);
  if (*number > now.results.size()) return fmt::format("(no result {})", *number);
  const std::string_view result = now.results[*number - 1];
  return std::string(text::trim(result.substr(0, result.find('\n'))));
}

std::string filled(std::string_view text, const Situation& now) {
  std::string out;
  for (std::size_t end = text.find("}}"); end != text.npos; end = text.find("}}")) {
    const std::size_t begin = text.substr(0, end).rfind("{{");
    const std::string_view whole =
        begin == text.npos ? std::string_view() : text.substr(begin, end + 2 - begin);
    out += text.substr(0, end + 2 - whole.size());
    if (!whole.empty()) out += value_of(whole.substr(2, whole.size() - 4), now, whole);
    text.remove_prefix(end + 2);
  }
  return out.append(text);
}

json::Value filled_value(const json::Value& value, const Situation& now) {
  if (value.string() != nullptr) return filled(*value.string(), now);
  if (const json::Array* items = value.array()) {
    json::Array out;
    for (const json::Value& item : *items) out.push_back(filled_value(item, now));
    return out;
  }
  if (const json::Object* members = value.object()) {
    json::Object out;
    for (const auto& [name, member] : *members) out.emplace_back(name, filled_value(member, now));
    return out;
  }
  return value;
}

TokenUsage counted(const ChatRequest& request, const ChatReply& reply) {
  std::size_t in = 0;
  for (const json::Value& message : request.messages) in += json::dump(message).size();
  for (const json::Value& tool : request.tools) in += json::dump(tool).size();
  std::size_t out = reply.text.size();
  for (const ToolCall& call : reply.calls) out += call.name.size() + call.arguments.size();
  return {static_cast<std::int64_t>(in / 4), static_cast<std::int64_t>(out / 4), 0, true};
}

ChatReply said(const ChatRequest& request, std::string_view text) {
  ChatReply reply;
  reply.text = std::string(kMark).append(text);
  reply.finish_reason = "stop";
  reply.model = "script";
  reply.usage = counted(request, reply);
  return reply;
}

std::string nothing_for(const Scenario& scenario, std::string_view message) {
  std::vector<std::string> known;
  for (const Task& task : scenario.tasks) known.push_back(text::shown(task.match.text()));
  return fmt::format("The scenario {} has no task for {}; its tasks are for {}.",
                     text::shown(scenario.name), text::shown(message),
                     known.empty() ? "nothing" : text::join(known, ", "));
}

}  // namespace

Answer play(const Scenario& scenario, const ChatRequest& request) {
  const Situation now = situation_of(request.messages);
  const Task* task = scenario.find(now.last_user);
  if (task == nullptr) return {said(request, nothing_for(scenario, now.last_user))};
  const Step* step = task->find(now.counted, now.last_user);
  if (step == nullptr) return {said(request, filled(task->after, now))};
  Answer answer;
  answer.delay_ms = step->delay_ms;
  answer.reply = said(request, filled(step->text, now));
  for (std::size_t k = 0; k < step->calls.size(); ++k) {
    const Step::Call& call = step->calls[k];
    answer.reply.calls.push_back({fmt::format("call-{}-{}", now.answers + 1, k + 1), call.name,
                                  json::dump(filled_value(call.arguments, now))});
  }
  if (!step->calls.empty()) answer.reply.finish_reason = "tool_calls";
  answer.reply.usage = step->usage ? *step->usage : counted(request, answer.reply);
  return answer;
}

Answer introduce(const ChatRequest& request) {
  const Situation now = situation_of(request.messages);
  return {said(request,
               fmt::format("I am the script model: no language model is configured. You wrote: "
                           "{}\nTo have one, put a model into /etc/models/default.toml or set "
                           "OPENAI_API_KEY (and OPENAI_BASE_URL, OPENAI_MODEL) before the mount.",
                           now.last_user))};
}

}  // namespace agentfs::script
