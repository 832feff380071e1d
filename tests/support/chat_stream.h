// SPDX-License-Identifier: MIT
// Bodies of chat completions, as OpenAI's server sends them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/model_driver.h"
#include "base/json.h"
#include "support/fault_server.h"

namespace agentfs::testing {

// Events, in the order in which a body has them: text, calls, done.
std::string event(const json::Value& data);         // "data: {…}\n\n"
std::string delta_event(const json::Value& delta);  // a chunk with choices[0].delta
std::vector<std::string> text_events(std::string_view text, std::size_t pieces = 3);
// Names first, then the arguments in pieces, those of parallel calls interleaved.
std::vector<std::string> call_events(const std::vector<ToolCall>& calls);
std::vector<std::string> done_events(std::string_view finish_reason, const TokenUsage& usage);

// Whole bodies.
std::string text_body(std::string_view text, const TokenUsage& usage = {10, 5, 0, false});
std::string calls_body(const std::vector<ToolCall>& calls, std::string_view text = {},
                       const TokenUsage& usage = {10, 5, 0, false});
json::Value whole_reply(std::string_view text, const std::vector<ToolCall>& calls = {});

}  // namespace agentfs::testing
