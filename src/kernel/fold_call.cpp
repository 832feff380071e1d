// SPDX-License-Identifier: MIT
// model.*, call.* and turn.commit: what a run does.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"
#include "kernel/process_json.h"

namespace agentfs::fold {
namespace {

std::uint64_t next_call(const Process& process) {
  return process.calls.empty() ? 1 : process.calls.back()->number + 1;
}

// Where the ledger has the call of this number; its end where it has not.
template <class Calls>
auto find_call(Calls& calls, const json::Value& number) {
  return std::ranges::lower_bound(calls, static_cast<std::uint64_t>(number.number()), {},
                                  [](const CallRef& call) { return call->number; });
}

Result<CallRef> open_call(const Process& process, const json::Value& number) {
  const auto found = find_call(process.calls, number);
  if (found == process.calls.end() ||
      (*found)->number != static_cast<std::uint64_t>(number.number())) {
    return fail(ENOENT, "process {}: no call {}; its ledger has {}", process.pid.value,
                number.number(), process.calls.size());
  }
  if ((*found)->ended != 0) {
    return fail(EBUSY, "process {}: call {} has ended ({})", process.pid.value, number.number(),
                name((*found)->state));
  }
  return *found;
}

Status check_model_begin(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(running_target(fold, data));
  if (process->state == RunState::stopped || process->state == RunState::draining) {
    return refuse(*process, "no turn begins now");
  }
  return ok();
}

void apply_model_begin(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  process.run.model_call_open = true;
  settle(process);
}

Status check_model_end(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(running_target(fold, data));
  if (!process->run.model_call_open) return refuse(*process, "no call of the model is open");
  const json::Array* calls = data["calls"].array();
  if (calls != nullptr && !calls->empty()) data.set("first_call", next_call(*process));
  return ok();
}

Usage model_usage(const json::Value& data) {
  Usage usage = usage_from_json(data);
  usage.calls = 0;
  usage.turns = 0;
  usage.wall_ns = 0;
  return usage;
}

void add_pending(Fold& fold, Process& process, const ToolCall& wanted) {
  Call call;
  call.number = next_call(process);
  call.id = wanted.id;
  call.tool = wanted.name;
  call.arguments = wanted.arguments;
  call.run = process.run.number;
  call.turn = static_cast<std::uint64_t>(process.usage.turns);
  fold.mark_call(process.pid, call.number);
  process.calls.push_back(std::make_shared<const Call>(std::move(call)));
}

void apply_model_end(Fold& fold, const Record& record) {
  const json::Value& data = record.data;
  Process& process = fold.edit(pid_of(data));
  process.run.model_call_open = false;
  Usage usage = model_usage(data);
  usage.turns = data["failed"].truth() ? 0 : 1;
  fold.charge(process.pid, usage);
  Message message;
  message.role = Message::Role::assistant;
  message.text = data["text"].text();
  message.calls = tool_calls_from_json(data["calls"]);
  for (const ToolCall& wanted : message.calls) add_pending(fold, process, wanted);
  if (!message.text.empty() || !message.calls.empty()) {
    say(fold, process, std::move(message), record);
  }
  settle(process);
}

Status check_charge(const Fold& fold, json::Value& data) {
  TRY(target(fold, data));
  return ok();
}

void apply_charge(Fold& fold, const Record& record) {
  fold.charge(pid_of(record.data), model_usage(record.data));
}

Status check_call_begin(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(running_target(fold, data));
  if (process->state == RunState::stopped) return refuse(*process, "no call begins now");
  if (data["call"].is_null()) {
    data.set("call", next_call(*process));
    if (!data["tool"].text().empty()) return ok();
    return fail(EINVAL, "process {}: a call without a tool", process->pid.value);
  }
  const CallRef call = TRY(open_call(*process, data["call"]));
  if (call->state == Call::State::pending) return ok();
  return fail(EBUSY, "process {}: call {} has begun already", process->pid.value, call->number);
}

void apply_call_begin(Fold& fold, const Record& record) {
  const json::Value& data = record.data;
  Process& process = fold.edit(pid_of(data));
  if (static_cast<std::uint64_t>(data["call"].number()) == next_call(process)) {
    add_pending(fold, process,
                {.id = std::string(data["id"].text()),
                 .name = std::string(data["tool"].text()),
                 .arguments = std::string(data["arguments"].text())});
  }
  const auto place = find_call(process.calls, data["call"]);
  if (place == process.calls.end()) return;
  Call call = **place;
  call.state = Call::State::running;
  call.started = record.time;
  fold.mark_call(process.pid, call.number);
  *place = std::make_shared<const Call>(std::move(call));
  Usage usage;
  usage.calls = 1;
  fold.charge(process.pid, usage);
  settle(process);
}

Status check_call_end(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(running_target(fold, data));
  TRY(open_call(*process, data["call"]));
  const std::string_view word = data["state"].text();
  const auto state = parse_call_state(word);
  if (!state || *state == Call::State::pending || *state == Call::State::running) {
    return fail(EINVAL,
                "process {}: a call cannot end {}; done, failed, interrupted and "
                "cancelled would do",
                process->pid.value, text::shown(word));
  }
  return ok();
}

void apply_call_end(Fold& fold, const Record& record) {
  const json::Value& data = record.data;
  Process& process = fold.edit(pid_of(data));
  const auto place = find_call(process.calls, data["call"]);
  if (place == process.calls.end()) return;
  Call call = **place;
  call.state = parse_call_state(data["state"].text()).value_or(Call::State::failed);
  call.result = data["result"].text();
  call.result_blob = data["result_blob"].text();
  call.result_size = static_cast<std::uint64_t>(
      data["result_size"].number(static_cast<std::int64_t>(call.result.size())));
  end_call(fold, process, std::move(call), record);
  settle(process);
}

Status check_commit(const Fold& fold, json::Value& data) {
  if (fold.find(pid_of(data)) != nullptr) return ok();
  TRY(target(fold, data));
  return ok();
}

void apply_commit(Fold& fold, const Record& record) {
  const std::string workspace = json::bytes_of(record.data, "workspace");
  const ProcessId pid = pid_of(record.data);
  fold.edit_workspace(workspace).committed[pid] = {
      static_cast<std::uint64_t>(record.data["reached"].number())};
  fold.mark_turn(workspace, pid);
}

constexpr std::array kRows = {
    Row{kind::kModelBegin, check_model_begin, apply_model_begin},
    Row{kind::kModelEnd, check_model_end, apply_model_end},
    Row{kind::kModelCharge, check_charge, apply_charge},
    Row{kind::kCallBegin, check_call_begin, apply_call_begin},
    Row{kind::kCallEnd, check_call_end, apply_call_end},
    Row{kind::kTurnCommit, check_commit, apply_commit},
};

}  // namespace

std::span<const Row> call_rows() { return kRows; }

void end_call(Fold& fold, Process& process, Call call, const Record& record) {
  call.ended = record.time != 0 ? record.time : 1;
  const auto place = std::ranges::lower_bound(process.calls, call.number, {},
                                              [](const CallRef& c) { return c->number; });
  Message message;
  message.role = Message::Role::tool;
  message.text = call.result;
  message.call_id = call.id;
  fold.mark_call(process.pid, call.number);
  *place = std::make_shared<const Call>(std::move(call));
  say(fold, process, std::move(message), record);
}

}  // namespace agentfs::fold
