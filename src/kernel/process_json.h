// SPDX-License-Identifier: MIT
// Processes, messages and calls as JSON: what the store keeps and `_object.json` shows.
#pragma once

#include "base/json.h"
#include "kernel/process.h"

namespace agentfs {

// Without the conversation and the ledger, which have objects of their own; with queued messages.
json::Value to_json(const Process& process);
json::Value to_json(const Message& message);
json::Value to_json(const Call& call);
json::Value to_json(const Usage& usage);
json::Value to_json(const Limits& limits);

// What to_json wrote; absent members keep their defaults.
Process process_from_json(const json::Value& value);
Message message_from_json(const json::Value& value);
Call call_from_json(const json::Value& value);
Usage usage_from_json(const json::Value& value);
Limits limits_from_json(const json::Value& value);
// [{"id":…,"name":…,"arguments":…}]
std::vector<ToolCall> tool_calls_from_json(const json::Value& value);

std::string_view name(Message::Role role);
std::optional<Message::Role> parse_role(std::string_view word);
std::optional<Call::State> parse_call_state(std::string_view word);

}  // namespace agentfs
