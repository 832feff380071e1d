// SPDX-License-Identifier: MIT
// message.* and run.*: the conversation and the runs it is made in.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"
#include "kernel/process_json.h"

namespace agentfs::fold {
namespace {

Status check_text(const Process& process, const json::Value& data) {
  const std::string_view text = data["text"].text();
  if (text.empty()) return fail(EINVAL, "process {}: a message without text", process.pid.value);
  return ok();
}

Status check_queue(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  if (process->is_init) {
    return fail(ENOTSUP, "process {}: is the init process of {} and runs no model; spawn an agent",
                process->pid.value, process->user);
  }
  if (process->state == RunState::draining) return refuse(*process, "it ends with this turn");
  return check_text(*process, data);
}

void apply_queue(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  queue_message(process, record, record.data["text"].text());
  settle(process);
}

Status check_take(const Fold& fold, json::Value& data) {
  TRY(running_target(fold, data));
  return ok();
}

void apply_take(Fold& fold, const Record& record) {
  take_queued(fold, fold.edit(pid_of(record.data)), record);
}

Status check_add(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(running_target(fold, data));
  const std::string_view word = data["role"].text();
  if (!parse_role(word)) {
    return fail(EINVAL, "process {}: no role ({}); user, assistant, tool and system are",
                process->pid.value, text::shown(word));
  }
  return ok();
}

void apply_add(Fold& fold, const Record& record) {
  const json::Value& data = record.data;
  Message message;
  message.role = parse_role(data["role"].text()).value_or(Message::Role::user);
  message.text = data["text"].text();
  message.from = data["from"].text();
  message.calls = tool_calls_from_json(data["calls"]);
  message.call_id = data["call_id"].text();
  say(fold, fold.edit(pid_of(data)), std::move(message), record);
}

Status check_begin(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  if (process->state == RunState::queued) {
    data.set("run", process->run.number + 1);
    return ok();
  }
  return refuse(*process, "only a queued process begins a run");
}

void apply_begin(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  Run run;
  run.number = process.run.number + 1;
  run.started = record.time;
  process.run = std::move(run);
  take_queued(fold, process, record);
  settle(process);
}

Status check_end(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(running_target(fold, data));
  if (data["outcome"].text().empty()) {
    return fail(EINVAL, "process {}: a run ends with an outcome, such as answered or failed",
                process->pid.value);
  }
  return ok();
}

void apply_end(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  finish_run(fold, process, record, record.data["outcome"].text());
  if (process.state == RunState::draining) {
    process.state = RunState::dead;
    process.exit_reason = "terminated";
    process.ended = record.time;
  }
  settle(process);
}

void apply_redirect(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  if (run_is_under_way(process)) finish_run(fold, process, record, "redirected");
  queue_message(process, record, record.data["text"].text());
  settle(process);
}

constexpr std::array kRows = {
    Row{kind::kMessageQueue, check_queue, apply_queue},
    Row{kind::kMessageTake, check_take, apply_take},
    Row{kind::kMessageAdd, check_add, apply_add},
    Row{kind::kRunBegin, check_begin, apply_begin},
    Row{kind::kRunEnd, check_end, apply_end},
    Row{kind::kRunRedirect, check_queue, apply_redirect},
};

}  // namespace

std::span<const Row> run_rows() { return kRows; }

void say(Fold& fold, Process& process, Message message, const Record& record) {
  message.number = process.messages.empty() ? 1 : process.messages.back()->number + 1;
  if (message.time == 0) message.time = record.time;
  message.run = process.run.number;
  fold.mark_message(process.pid, message.number);
  process.messages.push_back(std::make_shared<const Message>(std::move(message)));
}

void take_queued(Fold& fold, Process& process, const Record& record) {
  for (const MessageRef& message : process.queued) say(fold, process, *message, record);
  process.queued.clear();
}

void queue_message(Process& process, const Record& record, std::string_view text) {
  Message message;
  message.time = record.time;
  message.text = text;
  message.from = record.data["from"].text();
  process.queued.push_back(std::make_shared<const Message>(std::move(message)));
}

void finish_run(Fold& fold, Process& process, const Record& record, std::string_view outcome) {
  const std::vector<CallRef> calls = process.calls;
  for (const CallRef& open : calls) {
    if (open->run != process.run.number || open->ended != 0) continue;
    Call call = *open;
    call.state = Call::State::cancelled;
    call.result = open->state == Call::State::pending
                      ? "cancelled: the run ended before this call began"
                      : "cancelled: the run ended while this call ran; it may or may not have "
                        "had its effect";
    call.result_size = call.result.size();
    end_call(fold, process, std::move(call), record);
  }
  process.run.model_call_open = false;
  process.run.ended = record.time != 0 ? record.time : 1;
  process.run.outcome = outcome;
  const std::string_view text = record.data["text"].text();
  process.run.text = text.empty() && outcome != "answered"
                         ? fmt::format("run {} ended: {}", process.run.number, outcome)
                         : std::string(record.kind == kind::kRunRedirect ? "redirected" : text);
  Usage usage;
  usage.wall_ns = std::max<std::int64_t>(process.run.ended - process.run.started, 0);
  fold.charge(process.pid, usage);
}

}  // namespace agentfs::fold
