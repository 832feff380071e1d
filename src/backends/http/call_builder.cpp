// SPDX-License-Identifier: MIT
#include "backends/http/call_builder.h"

#include <algorithm>
#include <unordered_set>

#include "base/text.h"

namespace agentfs::http {

std::string CallBuilder::take(const json::Value& piece) {
  // Some servers leave out the wrapper `function`.
  const json::Value& function = piece["function"].is_null() ? piece : piece["function"];
  const std::string_view id = piece["id"].text();
  ToolCall& call = belonging(piece, id, function["name"].text());
  if (call.id.empty()) call.id = id;
  return add(call, function);
}

std::string CallBuilder::take_function_call(const json::Value& function) {
  if (calls_.empty()) begin(nullptr);
  return add(calls_.back(), function);
}

ToolCall& CallBuilder::belonging(const json::Value& piece, std::string_view id,
                                 std::string_view name) {
  const json::Value& index = piece["index"];
  if (const std::int64_t* number = index.integer()) {
    const auto found = by_index_.find(*number);
    if (found == by_index_.end()) return begin(index);
    ToolCall& call = calls_[found->second];
    // The same index with another id and a name: a server that numbers all parallel calls 0.
    const bool another = !id.empty() && !call.id.empty() && id != call.id && !name.empty();
    return another ? begin(index) : call;
  }
  if (!id.empty()) {
    const auto same = std::ranges::find(calls_, id, &ToolCall::id);
    return same != calls_.end() ? *same : begin(index);
  }
  if (calls_.empty() || !name.empty()) return begin(index);
  return calls_.back();
}

ToolCall& CallBuilder::begin(const json::Value& index) {
  if (const std::int64_t* number = index.integer()) by_index_[*number] = calls_.size();
  return calls_.emplace_back();
}

std::string CallBuilder::add(ToolCall& call, const json::Value& function) {
  const std::string_view name = function["name"].text();
  const bool begun = call.name.empty() && !name.empty();
  if (name != call.name) call.name += name;
  const json::Value& arguments = function["arguments"];
  if (arguments.string() != nullptr) {
    call.arguments += arguments.text();
  } else if (!arguments.is_null() && call.arguments.empty()) {
    call.arguments = json::dump(arguments);
  }
  return begun ? call.name : "";
}

Attempt<std::vector<ToolCall>> CallBuilder::finish() {
  std::unordered_set<std::string> ids;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    ToolCall& call = calls_[i];
    if (call.name.empty()) {
      return final_failure(EBADMSG, "the reply has a tool call without a name (arguments {})",
                           text::shown(call.arguments));
    }
    if (text::trim(call.arguments).empty()) call.arguments = "{}";
    if (call.id.empty()) call.id = fmt::format("call_{}", i + 1);
    for (std::size_t n = i + 1; !ids.insert(call.id).second; ++n) {
      call.id += fmt::format("_{}", n);
    }
  }
  return std::move(calls_);
}

}  // namespace agentfs::http
