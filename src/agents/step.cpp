// SPDX-License-Identifier: MIT
#include "agents/step.h"

#include <algorithm>
#include <utility>

#include "agents/tools.h"

namespace agentfs::agents {
namespace {

bool may_act(const Process& process) {
  return !process.is_init && process.state != RunState::dead &&
         process.state != RunState::stopped && process.state != RunState::waiting_approval;
}

// Calls of a tool that is not there only get a sentence: they hold nobody up.
bool runs_beside_others(const Call& call) {
  const ToolRow* tool = find_tool(call.tool);
  return tool == nullptr || only_asks(*tool);
}

Step calls_step(const std::vector<CallRef>& open, const UnderWay& under_way) {
  Step lost{.kind = Step::Kind::end_calls, .calls = {}, .outcome = {}, .text = {}};
  Step begin{.kind = Step::Kind::begin_calls, .calls = {}, .outcome = {}, .text = {}};
  std::int64_t running = 0;
  bool alone = false;  // one that must run alone is running
  for (const CallRef& call : open) {
    if (call->state != Call::State::running) continue;
    if (!under_way.calls.contains(call->number)) lost.calls.push_back(call);
    ++running;
    alone = alone || !runs_beside_others(*call);
  }
  if (!lost.calls.empty()) return lost;
  for (const CallRef& call : open) {
    if (call->state != Call::State::pending) continue;
    const bool beside = runs_beside_others(*call);
    if (alone || (running > 0 && !beside) || running >= under_way.max_parallel) break;
    begin.calls.push_back(call);
    ++running;
    alone = !beside;
  }
  return begin.calls.empty() ? Step{} : begin;
}

Step end_run(std::string outcome, std::string text) {
  return {.kind = Step::Kind::end_run,
          .calls = {},
          .outcome = std::move(outcome),
          .text = std::move(text)};
}

// Every call has its result: it is the model's turn, unless it has spoken.
Step conversation_step(const Process& process) {
  const Message* last = process.messages.empty() ? nullptr : process.messages.back().get();
  if (last != nullptr && last->role == Message::Role::assistant &&
      last->run == process.run.number && last->calls.empty()) {
    return end_run("answered", last->text);
  }
  if (last != nullptr && last->role == Message::Role::system && last->text.starts_with(kFailed) &&
      last->run == process.run.number) {
    std::string_view reason = std::string_view(last->text).substr(kFailed.size());
    if (reason.ends_with(']')) reason.remove_suffix(1);
    return end_run("failed", std::string(reason));
  }
  if (process.state == RunState::draining) return end_run("terminated", "terminated after a turn");
  return {.kind = Step::Kind::ask_model, .calls = {}, .outcome = {}, .text = {}};
}

}  // namespace

Step next_step(const Process& process, const UnderWay& under_way) {
  if (!may_act(process)) return {};
  if (process.run.number == 0 || process.run.ended != 0) {
    if (process.queued.empty() || process.state == RunState::draining) return {};
    return {.kind = Step::Kind::begin_run, .calls = {}, .outcome = {}, .text = {}};
  }
  if (under_way.model) return {};
  std::vector<CallRef> open;
  for (auto call = process.calls.rbegin(); call != process.calls.rend(); ++call) {
    if ((*call)->run != process.run.number) break;
    if ((*call)->ended == 0) open.push_back(*call);
  }
  std::ranges::reverse(open);
  return open.empty() ? conversation_step(process) : calls_step(open, under_way);
}

}  // namespace agentfs::agents
