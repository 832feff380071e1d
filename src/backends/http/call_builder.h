// SPDX-License-Identifier: MIT
// Tool calls put together from the pieces of a stream.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backends/http/failure.h"
#include "backends/model_driver.h"
#include "base/json.h"

namespace agentfs::http {

// Finds the call each piece belongs to: by index, by id where the index is left out or is the same
// for all, else the last one begun. Threads: one at a time.
class CallBuilder {
 public:
  // One element of `tool_calls`. The name of a call that it begins, "" where it begins none.
  std::string take(const json::Value& piece);
  // The old `function_call` member: one call without id.
  std::string take_function_call(const json::Value& function);

  bool empty() const { return calls_.empty(); }
  // All calls, each with an id of its own and arguments that are not empty. EBADMSG where one has
  // no name.
  Attempt<std::vector<ToolCall>> finish();

 private:
  ToolCall& belonging(const json::Value& piece, std::string_view id, std::string_view name);
  ToolCall& begin(const json::Value& index);
  static std::string add(ToolCall& call, const json::Value& function);

  std::vector<ToolCall> calls_;
  std::map<std::int64_t, std::size_t> by_index_;  // the newest call of that index
};

}  // namespace agentfs::http
