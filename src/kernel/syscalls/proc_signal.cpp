// SPDX-License-Identifier: MIT
// proc.signal: one row a signal.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold.h"
#include "kernel/kinds.h"
#include "kernel/syscalls/proc.h"

namespace agentfs::proc {
namespace {

using Handler = Status (*)(Kernel&, const Caller&, const Process&);

Status commit(Kernel& kernel, const Caller& caller, std::string_view kind, json::Value data) {
  TRY(kernel.commit(caller, std::string(kind), std::move(data)));
  return ok();
}

json::Value about(const Process& process) {
  json::Value data;
  data.set("pid", process.pid.value);
  return data;
}

// Queued messages stay: they start the next run.
Status cancel(Kernel& kernel, const Caller& caller, const Process& process) {
  json::Value data = about(process);
  data.set("outcome", "cancelled").set("text", "cancelled");
  return commit(kernel, caller, kind::kRunEnd, std::move(data));
}

Status change_state(Kernel& kernel, const Caller& caller, const Process& process, RunState to) {
  json::Value data = about(process);
  data.set("state", name(to));
  return commit(kernel, caller, kind::kProcessState, std::move(data));
}

Status stop(Kernel& kernel, const Caller& caller, const Process& process) {
  return change_state(kernel, caller, process, RunState::stopped);
}

Status cont(Kernel& kernel, const Caller& caller, const Process& process) {
  return change_state(kernel, caller, process, RunState::running);
}

Status term(Kernel& kernel, const Caller& caller, const Process& process) {
  if (process.state != RunState::dead && run_is_under_way(process)) {
    const Status draining = change_state(kernel, caller, process, RunState::draining);
    // The run may have ended meanwhile: then there is nothing to wait for.
    const ProcessRef now = kernel.find_process(process.pid);
    if (draining || now == nullptr || run_is_under_way(*now)) return draining;
  }
  return kernel.end_process(caller, process.pid, "terminated");
}

Status kill(Kernel& kernel, const Caller& caller, const Process& process) {
  return kernel.end_process(caller, process.pid, "killed");
}

Status reset(Kernel& kernel, const Caller& caller, const Process& process) {
  return commit(kernel, caller, kind::kProcessReset, about(process));
}

Status reap(Kernel& kernel, const Caller& caller, const Process& process) {
  return commit(kernel, caller, kind::kProcessReap, about(process));
}

struct SignalRow {
  std::string_view name{};
  Handler handler = nullptr;
};

constexpr std::array kSignals = {
    SignalRow{"cancel", cancel}, SignalRow{"cont", cont},   SignalRow{"kill", kill},
    SignalRow{"reap", reap},     SignalRow{"reset", reset}, SignalRow{"stop", stop},
    SignalRow{"term", term},
};

}  // namespace

Status run(Kernel& kernel, const Caller& caller, const Signal& args) {
  const auto row = std::ranges::find(kSignals, args.signal, &SignalRow::name);
  if (row == kSignals.end()) {
    std::vector<std::string> names;
    for (const SignalRow& one : kSignals) names.emplace_back(one.name);
    return fail(EINVAL, "signal: no such signal ({}){}; {} are", text::shown(args.signal),
                text::did_you_mean(args.signal, names), text::join(names, ", "));
  }
  const ProcessRef process = kernel.find_process(args.process);
  if (process == nullptr) {
    json::Value data;  // the fold tells who was never there from who was reaped
    data.set("pid", args.process.value);
    return commit(kernel, caller, kind::kProcessReap, std::move(data));
  }
  TRY(kernel.may_control(caller, *process));
  if (process->is_init) {
    return fail(EPERM,
                "process {}: is the init process of {}, which takes no signals; those that "
                "it has spawned do",
                process->pid.value, process->user);
  }
  return row->handler(kernel, caller, *process);
}

}  // namespace agentfs::proc
