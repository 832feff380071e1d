// SPDX-License-Identifier: MIT
// The runner's other half: what models and tools answered becomes records.
#include <algorithm>
#include <set>
#include <utility>

#include "agents/runner.h"
#include "agents/tools.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/error_log.h"
#include "kernel/kinds.h"
#include "kernel/limits.h"
#include "kernel/streams.h"

namespace agentfs::agents {
namespace {

constexpr int kEmptyAnswers = 2;
constexpr std::string_view kCutOff = "[cut off at the model's output limit]";

json::Object usage_data(const ChatReply& reply, std::int64_t micro_usd) {
  json::Object data{{"tokens_in", reply.usage.input},
                    {"tokens_out", reply.usage.output},
                    {"tokens_cached", reply.usage.cached},
                    {"micro_usd", micro_usd}};
  if (reply.attempts > 1) data.emplace_back("retries", reply.attempts - 1);
  if (!reply.model.empty()) data.emplace_back("model", reply.model);
  return data;
}

json::Array calls_data(const std::vector<ToolCall>& calls) {
  json::Array array;
  for (const ToolCall& call : calls) {
    array.push_back(
        json::Object{{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  }
  return array;
}

// The answer's text as it is kept; an answer that was cut off says so.
std::string answer_text(const ChatReply& reply) {
  std::string text = text::to_utf8(reply.text);
  if (text::trim(text).empty()) return {};
  if (reply.finish_reason != "length") return text;
  if (!text.ends_with('\n')) text += '\n';
  text += kCutOff;
  return text;
}

const Call* find_call(const Process& process, std::uint64_t number) {
  const auto found = std::ranges::find_if(
      process.calls, [&](const CallRef& call) { return call->number == number; });
  return found == process.calls.end() ? nullptr : found->get();
}

Call::State state_of(const Result<std::string>& result) {
  if (result) return Call::State::done;
  return result.error().code == EINTR ? Call::State::cancelled : Call::State::failed;
}

}  // namespace

std::vector<ToolCall> with_unique_ids(const Process& process, std::vector<ToolCall> calls) {
  std::set<std::string, std::less<>> taken;
  for (const CallRef& call : process.calls) taken.insert(call->id);
  for (ToolCall& call : calls) {
    const std::string wanted = call.id.empty() ? "call" : text::to_utf8(call.id);
    call.id = wanted;
    for (int n = call.id == "call" ? 1 : 2; !taken.insert(call.id).second || call.id == "call";
         ++n) {
      call.id = fmt::format("{}_{}", wanted, n);
    }
    call.name = text::to_utf8(call.name);
    call.arguments = text::to_utf8(call.arguments);
  }
  return calls;
}

bool Runner::settle(ProcessId pid, const Arrival& arrival) {
  const ProcessRef process = kernel_.find_process(pid);
  if (process == nullptr || process->state == RunState::dead) return true;
  if (const auto* model = std::get_if<ModelArrival>(&arrival)) return settle_model(process, *model);
  return settle_call(process, std::get<CallArrival>(arrival));
}

bool Runner::settle_model(ProcessRef process, const ModelArrival& arrival) {
  const bool wanted = process->run.number == arrival.run && process->run.ended == 0;
  if (arrival.reply && !wanted) {
    // The run was cancelled while the answer came: nobody reads it, but it was paid for.
    const ChatReply& reply = *arrival.reply;
    return commit(process->pid, kind::kModelCharge, usage_data(reply, price_of(reply))) !=
           Committed::later;
  }
  if (!wanted) return true;
  if (arrival.reply) return settle_answer(*process, *arrival.reply);
  return settle_failure(*process, arrival.reply.error());
}

bool Runner::settle_failure(const Process& process, const Error& error) {
  kernel_.errors().add(process.pid, "/dev/llm/" + process.model, error);
  const Committed ended = commit(process.pid, kind::kModelEnd, {{"failed", true}});
  if (ended == Committed::later) return false;
  return fail_run(process, error.message);
}

bool Runner::settle_answer(const Process& process, const ChatReply& reply) {
  const std::string text = answer_text(reply);
  json::Object data = usage_data(reply, price_of(reply));
  if (!text.empty()) data.emplace_back("text", text);
  if (!reply.calls.empty()) {
    data.emplace_back("calls", calls_data(with_unique_ids(process, reply.calls)));
  }
  const bool empty = text.empty() && reply.calls.empty();
  const Committed committed = commit(process.pid, kind::kModelEnd, std::move(data));
  if (committed != Committed::yes) return committed == Committed::refused;
  int& empty_answers = dispatcher_.empty_answers(process.pid);
  empty_answers = empty ? empty_answers + 1 : 0;
  if (empty_answers < kEmptyAnswers) return true;
  empty_answers = 0;
  const Error error{
      EREMOTEIO,
      fmt::format("{}: the model answered nothing, {} times in a row{}", process.model,
                  kEmptyAnswers,
                  reply.finish_reason == "length" ? " (cut off at its output limit)" : "")};
  kernel_.errors().add(process.pid, "/dev/llm/" + process.model, error);
  return fail_run(process, error.message);
}

// The reason becomes part of the conversation, and that the end of the run (agents/step.h).
bool Runner::fail_run(const Process& process, const std::string& reason) {
  std::string line = reason;
  std::ranges::replace(line, '\n', ' ');
  return commit(process.pid, kind::kMessageAdd,
                {{"role", "system"}, {"text", fmt::format("{}{}]", kFailed, line)}}) !=
         Committed::later;
}

bool Runner::settle_call(ProcessRef process, const CallArrival& arrival) {
  const Call* call = find_call(*process, arrival.number);
  if (call == nullptr) return true;
  if (call->ended == 0) return end_call(*process, *call, arrival.result);
  // The run ended before its call did: what the call had changed still belongs to a commit.
  commit_files(*process);
  return true;
}

bool Runner::end_call(const Process& process, const Call& call, const Result<std::string>& result) {
  const ProcessId pid = process.pid;
  const std::string& whole = result ? *result : result.error().message;
  const auto limit =
      static_cast<std::size_t>(std::max<std::int64_t>(profile_of(process).tool_result_bytes, 0));
  const std::string path = fmt::format("/proc/{}/calls/{}/result", pid.value, call.number);
  std::string shown = bounded(whole, limit, path);
  json::Object data{{"call", call.number}, {"state", name(state_of(result))}};
  if (shown != whole) {
    if (const Result<std::string> blob = kernel_.blobs().put(whole)) {
      data.emplace_back("result_blob", *blob);
    } else {
      kernel_.errors().add(pid, path, blob.error());
    }
  }
  data.emplace_back("result", std::move(shown));
  data.emplace_back("result_size", whole.size());
  if (commit(pid, kind::kCallEnd, std::move(data)) == Committed::later) return false;
  kernel_.streams().publish(pid, fmt::format("[call {} {}: {} bytes]\n", call.number,
                                             name(state_of(result)), whole.size()));
  return true;
}

// By what answered: a fallback has its own price.
std::int64_t Runner::price_of(const ChatReply& reply) const {
  const Result<ModelSettings> settings = kernel_.configuration().model(reply.answered_by);
  return settings ? price(*settings, reply.usage) : 0;
}

}  // namespace agentfs::agents
