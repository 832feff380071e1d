// SPDX-License-Identifier: MIT
#include "kernel/chat.h"

#include <algorithm>
#include <unordered_map>

#include "base/clock.h"
#include "base/text.h"
#include "kernel/process_json.h"

namespace agentfs {
namespace {

using CallsById = std::unordered_map<std::string_view, const Call*>;

void append_text(std::string& out, std::string_view text) {
  for (const std::string_view line : text::lines(text)) {
    if (line.starts_with("## ")) out += ' ';
    out += line;
    out += '\n';
  }
}

// The first line of a text, for a place where only one fits.
std::string first_line(std::string_view text) {
  const auto end = text.find('\n');
  const std::string_view line = text::prefix(text.substr(0, end), 200);
  return text::to_utf8(line) + (line.size() < text.size() && end + 1 != text.size() ? "…" : "");
}

// "failed: the reason", or the reason alone where it begins with the word.
std::string with_reason(std::string_view word, std::string_view reason) {
  const std::string line = first_line(reason);
  const bool says_it =
      line.starts_with(word) && line.find_first_of(": ", word.size()) == word.size();
  if (line.empty() || line == word) return std::string(word);
  return says_it ? line : fmt::format("{}: {}", word, line);
}

std::string outcome(const Call& call) {
  switch (call.state) {
    case Call::State::pending:
      return "pending";
    case Call::State::running:
      return "running";
    case Call::State::done:
      return fmt::format("done, {} bytes", call.result_size);
    case Call::State::failed:
    case Call::State::interrupted:
    case Call::State::cancelled:
      break;
  }
  return with_reason(name(call.state), call.result);
}

void append_call(std::string& out, const ToolCall& asked, const CallsById& calls) {
  const auto found = calls.find(asked.id);
  const std::string arguments = first_line(asked.arguments);
  if (found == calls.end()) {
    out += fmt::format("- call {} {}: not begun\n", asked.name, arguments);
  } else {
    out += fmt::format("- call {} {} {}: {}\n", found->second->number, asked.name, arguments,
                       outcome(*found->second));
  }
}

void append_message(std::string& out, const Message& message, const CallsById& calls) {
  if (message.role == Message::Role::tool) return;  // told in the line of its call
  if (message.role == Message::Role::system && message.text.starts_with('[')) {
    append_text(out, message.text);
    out += '\n';
    return;
  }
  out += fmt::format("## {} {}{}{} {}\n", message.number, name(message.role),
                     message.from.empty() ? "" : " ", message.from, timestamp(message.time));
  append_text(out, message.text);
  for (const ToolCall& call : message.calls) append_call(out, call, calls);
  out += '\n';
}

void append_end(std::string& out, const Process& process) {
  const Run& run = process.run;
  if (run.number == 0 || run.ended == 0 || run.outcome == "answered") return;
  // A failed run's reason is the last message of its conversation.
  if (!process.messages.empty() && process.messages.back()->role == Message::Role::system) return;
  out += fmt::format("[{}]\n\n", with_reason(run.outcome, run.text));
}

}  // namespace

std::string render_chat(const Process& process) {
  CallsById calls;
  for (const CallRef& call : process.calls) calls.emplace(call->id, call.get());
  std::string out;
  for (const MessageRef& message : process.messages) append_message(out, *message, calls);
  append_end(out, process);
  for (const MessageRef& message : process.queued) {
    out += fmt::format("## queued {} {}\n", message->from, timestamp(message->time));
    append_text(out, message->text);
    out += '\n';
  }
  return out;
}

}  // namespace agentfs
