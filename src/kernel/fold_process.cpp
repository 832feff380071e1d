// SPDX-License-Identifier: MIT
// process.*: what processes are and when they end.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"
#include "kernel/process_json.h"

namespace agentfs::fold {
namespace {

Status check_spawn(const Fold& fold, json::Value& data) {
  const ProcessId parent{static_cast<std::uint64_t>(data["parent"].number())};
  if (parent) TRY(fold.find_live(parent));
  if (data["init"].truth() && fold.init_of(static_cast<uid_t>(data["uid"].number()))) {
    return fail(EEXIST, "process: user {} has an init process already", data["uid"].number());
  }
  const ProcessId pid = fold.next_pid();
  data.set("pid", pid.value);
  if (data["name"].text().empty()) data.set("name", fmt::format("agent-{}", pid.value));
  return ok();
}

void apply_spawn(Fold& fold, const Record& record) {
  const json::Value& data = record.data;
  Process process;
  process.pid = pid_of(data);
  process.parent = {static_cast<std::uint64_t>(data["parent"].number())};
  process.name = data["name"].text();
  process.user = data["user"].text();
  process.uid = static_cast<uid_t>(data["uid"].number());
  process.gid = static_cast<gid_t>(data["gid"].number(process.gid));
  process.is_init = data["init"].truth();
  process.profile = data["profile"].text(process.profile);
  process.model = data["model"].text(process.model);
  process.workspace = json::bytes_of(data, "workspace");
  process.cwd = json::bytes_of(data, "cwd");
  process.priority = static_cast<int>(data["priority"].number());
  process.deadline = data["deadline"].number();
  process.limits = limits_from_json(data["limits"]);
  process.started = record.time;
  process.spawned = record.sequence;
  if (const std::string_view task = data["task"].text(); !task.empty()) {
    queue_message(process, record, task);
    settle(process);
  }
  fold.insert(std::move(process));
}

Status check_state(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  const std::string_view word = data["state"].text();
  const auto to = parse_run_state(word);
  const RunState from = process->state;
  if (to == RunState::running) {
    if (from == RunState::stopped || from == RunState::waiting_approval) return ok();
    return refuse(*process, "only a stopped or waiting process goes on");
  }
  const bool needs_run = to == RunState::draining || to == RunState::waiting_approval;
  if (!needs_run && to != RunState::stopped) {
    return fail(EINVAL,
                "process {}: not a state to be put in ({}); stopped, draining, "
                "waiting-approval and running are",
                process->pid.value, text::shown(word));
  }
  if (needs_run && !run_is_under_way(*process)) return refuse(*process, "no run is under way");
  if (from == RunState::stopped && to == from) {
    return refuse(*process, "it is stopped already; cont lets it go on");
  }
  if (from == *to || !may_follow(from, *to)) {
    return refuse(*process, fmt::format("it cannot become {}", word));
  }
  return ok();
}

void apply_state(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  const auto to = parse_run_state(record.data["state"].text());
  process.state = to == RunState::running ? natural_state(process) : to.value_or(process.state);
}

Status check_set(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  constexpr std::array<std::string_view, 7> kKeys = {"name",     "profile", "model", "priority",
                                                     "deadline", "cwd",     "limits"};
  const std::string_view key = data["key"].text();
  if (std::ranges::find(kKeys, key) == kKeys.end()) {
    return fail(EINVAL, "process {}: no setting ({}); {} are", process->pid.value, text::shown(key),
                fmt::join(kKeys, ", "));
  }
  return ok();
}

void apply_set(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  const std::string_view key = record.data["key"].text();
  const json::Value& value = record.data["value"];
  if (key == "name") process.name = value.text(process.name);
  if (key == "profile") process.profile = value.text(process.profile);
  if (key == "model") process.model = value.text(process.model);
  if (key == "cwd") process.cwd = json::bytes_of(record.data, "value");
  if (key == "priority") process.priority = static_cast<int>(value.number(process.priority));
  if (key == "deadline") process.deadline = value.number(process.deadline);
  if (key == "limits") process.limits = limits_from_json(value);
}

Status check_target(const Fold& fold, json::Value& data) {
  TRY(target(fold, data));
  return ok();
}

void apply_context(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  const std::string name(record.data["name"].text());
  const std::string_view text = record.data["text"].text();
  if (text.empty() && !record.data["kept"].truth()) {
    process.context.erase(name);
  } else {
    process.context[name] = text;
  }
}

Status check_exit(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  if (process->is_init) {
    return fail(EPERM, "process {}: is the init process of {} and does not end", process->pid.value,
                process->user);
  }
  if (data["reason"].text().empty()) {
    return fail(EINVAL, "process {}: an exit without a reason", process->pid.value);
  }
  return ok();
}

void apply_exit(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  process.exit_reason = record.data["reason"].text();
  if (run_is_under_way(process)) finish_run(fold, process, record, process.exit_reason);
  process.state = RunState::dead;
  process.ended = record.time;
}

Status check_reset(const Fold& fold, json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  if (process->state == RunState::idle) return ok();
  if (process->state == RunState::stopped) {
    return refuse(*process, run_is_under_way(*process)
                                ? "only an idle process is reset; cancel, then cont would do"
                                : "only an idle process is reset; cont first");
  }
  return refuse(*process, "only an idle process is reset; cancel it first");
}

void apply_reset(Fold& fold, const Record& record) {
  Process& process = fold.edit(pid_of(record.data));
  for (const MessageRef& message : process.messages)
    fold.mark_message(process.pid, message->number);
  process.messages.clear();
}

Status check_reap(const Fold& fold, json::Value& data) {
  const ProcessId pid = pid_of(data);
  const ProcessRef process = fold.find(pid);
  if (process == nullptr) {
    TRY(fold.find_live(pid));
    return ok();
  }
  if (process->state != RunState::dead) {
    return refuse(*process, "only a dead process is reaped; kill it first");
  }
  for (const auto& [child, other] : fold.processes()) {
    if (other->parent == pid) {
      return fail(EBUSY, "process {}: has a child ({}); reap that one first", pid.value,
                  child.value);
    }
  }
  data.set("parent", process->parent.value);
  return ok();
}

void apply_reap(Fold& fold, const Record& record) { fold.erase(pid_of(record.data)); }

constexpr std::array kRows = {
    Row{kind::kProcessSpawn, check_spawn, apply_spawn},
    Row{kind::kProcessState, check_state, apply_state},
    Row{kind::kProcessSet, check_set, apply_set},
    Row{kind::kProcessContext, check_target, apply_context},
    Row{kind::kProcessExit, check_exit, apply_exit},
    Row{kind::kProcessReset, check_reset, apply_reset},
    Row{kind::kProcessReap, check_reap, apply_reap},
};

}  // namespace

std::span<const Row> process_rows() { return kRows; }

Result<ProcessRef> target(const Fold& fold, const json::Value& data) {
  return fold.find_live(pid_of(data));
}

Result<ProcessRef> running_target(const Fold& fold, const json::Value& data) {
  const ProcessRef process = TRY(target(fold, data));
  if (!run_is_under_way(*process)) return refuse(*process, "no run is under way");
  const std::int64_t run = data["run"].number();
  if (run != 0 && static_cast<std::uint64_t>(run) != process->run.number) {
    return refuse(*process, fmt::format("run {} has ended, and run {} is under way", run,
                                        process->run.number));
  }
  return process;
}

std::unexpected<Error> refuse(const Process& process, std::string_view what) {
  return fail(EBUSY, "process {}: {} (it is {})", process.pid.value, what, name(process.state));
}

RunState natural_state(const Process& process) {
  if (!run_is_under_way(process)) {
    return process.queued.empty() ? RunState::idle : RunState::queued;
  }
  if (process.run.model_call_open) return RunState::waiting_model;
  // Calls of a run stand at the ledger's end.
  for (auto call = process.calls.rbegin(); call != process.calls.rend(); ++call) {
    if ((*call)->run != process.run.number) break;
    if ((*call)->state == Call::State::running) return RunState::waiting_tool;
  }
  return RunState::running;
}

void settle(Process& process) {
  const RunState now = process.state;
  if (now == RunState::stopped || now == RunState::draining || now == RunState::dead) return;
  process.state = natural_state(process);
}

}  // namespace agentfs::fold
