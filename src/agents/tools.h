// SPDX-License-Identifier: MIT
// The tools a model is given: names for syscalls, nothing more.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/configuration.h"
#include "kernel/syscalls/table.h"

namespace agentfs::agents {

// A tool has the name of its row and the arguments of its syscall, under the same names.
struct ToolRow {
  std::string_view name{};
  std::string_view syscall{};
  std::string_view doc{};  // what the model is told beyond the arguments' own docs
};

std::span<const ToolRow> all_tools();             // sorted by name
const ToolRow* find_tool(std::string_view name);  // null when there is none
// Does the tool only ask? Such calls may run beside each other.
bool only_asks(const ToolRow& tool);

// The "tools" member of a request: those that the profile gives.
json::Array tool_descriptions(const ProfileSettings& profile);

// One call that the model made, understood.
struct DecodedCall {
  const ToolRow* tool = nullptr;
  const SyscallEntry* syscall = nullptr;
  json::Value arguments;
};
// ENOENT for a tool there is not, or that the profile does not give, with the nearest names; EINVAL
// for arguments that are no JSON object, with the schema. The sentences are written for the model.
Result<DecodedCall> decode_call(const std::string& tool, const std::string& arguments,
                                const ProfileSettings& profile);

// What the model is shown of a result: valid UTF-8 of about `limit` bytes (at least 256): all of
// it, or head and tail, cut at lines where lines are short, around a line that says how much is
// left out and names `path`, where all of it is.
std::string bounded(std::string_view result, std::size_t limit, std::string_view path);

}  // namespace agentfs::agents
