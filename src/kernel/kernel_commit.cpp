// SPDX-License-Identifier: MIT
// The one way to change durable state, and what follows from a change.
#include "base/log.h"
#include "kernel/fold_rows.h"
#include "kernel/kernel_state.h"

namespace agentfs {
namespace {

Spending spending_of(std::string_view kind) {
  if (kind == kind::kModelBegin) return Spending::turn;
  if (kind == kind::kCallBegin) return Spending::call;
  return Spending::nothing;
}

bool charges(std::string_view kind) {
  return kind == kind::kModelEnd || kind == kind::kModelCharge || kind == kind::kCallBegin ||
         kind == kind::kRunEnd || kind == kind::kProcessSet;
}

bool moves_alarm(std::string_view kind) {
  return kind.starts_with("process.") || kind.starts_with("run.");
}

}  // namespace

Result<Record> Kernel::commit(const Caller& caller, std::string kind, json::Value data) {
  const Spending spending = spending_of(kind);
  if (spending != Spending::nothing) {
    const State::Spent spent = state_->find_spent(fold::pid_of(data), spending);
    if (spent.pid) {
      (void)end_process(caller, spent.pid, "quota:" + spent.resource, spent.sentence);
      return fail(EDQUOT, "{}", spent.sentence);
    }
  }
  std::vector<State::Committed> told;
  const Status committed = state_->commit(author(caller), std::move(kind), std::move(data), told);
  for (const auto& [record, subject] : told) state_->after_commit(record, subject);
  TRY(committed);
  return std::move(told.back().record);
}

Status Kernel::State::commit(const Author& author, std::string kind, json::Value data,
                             std::vector<Committed>& told) {
  Lock committing_lock(commit_mutex);
  const Status paid = pay(told);
  if (!paid && owes_tree(kind, data)) return paid;
  told.push_back(TRY(append(author, std::move(kind), std::move(data))));
  return ok();
}

Result<Kernel::State::Committed> Kernel::State::append(const Author& author, std::string kind,
                                                       json::Value data) {
  {
    Lock lock(mutex);
    if (stopping) return fail(ESRCH, "kernel: has been stopped");
    TRY(fold.accept(kind, data));
  }
  std::string line;
  Record record = TRY(parts.journal->append(std::move(kind), author, std::move(data), &line));
  std::size_t dirty = 0;
  ProcessId subject;
  {
    Lock lock(mutex);
    subject = fold.apply(record);
    dirty = fold.dirty().size();
  }
  changes.add(record);
  if (record.kind == kind::kProcessReap) {
    events.forget(subject);
  } else if (subject) {
    events.add(subject, std::move(line));
  }
  schedule_store(dirty);
  return Committed{std::move(record), subject};
}

void Kernel::State::after_commit(const Record& record, ProcessId subject) {
  if (record.kind == kind::kProcessReap) errors.forget(subject);
  if (record.kind == kind::kProcessExit) stale_writes.forget(subject);
  if (moves_alarm(record.kind)) {
    arm(subject);
    // The parent may have waited for this child to be reaped.
    if (record.kind == kind::kProcessReap) {
      arm({static_cast<std::uint64_t>(record.data["parent"].number())});
    }
  }
  notify_userland(record, subject);
  tell_listeners(record, subject);
  changes.tell();
  complete_waiters(subject);
  if (charges(record.kind)) enforce_budget(subject);
  if (record.kind != kind::kRunEnd) return;
  const ProcessRef process = kernel.find_process(subject);
  if (process == nullptr || process->state != RunState::dead) return;
  // A draining process has ended with its run.
  (void)kernel.end_descendants(Caller::daemon(kernel), subject, process->exit_reason, {});
}

void Kernel::State::notify_userland(const Record& record, ProcessId subject) {
  Userland* agents = userland.load();
  if (agents == nullptr || !subject) return;
  // Before it is woken: what is stopped is the run that has ended, not the next one.
  const bool is_cancelled =
      record.kind == kind::kRunEnd && record.data["outcome"].text() == "cancelled";
  if (record.kind == kind::kProcessExit || record.kind == kind::kRunRedirect || is_cancelled) {
    agents->interrupt(subject);
  }
  const bool wakes = record.kind == kind::kMessageQueue || record.kind == kind::kProcessSpawn ||
                     record.kind == kind::kProcessState || record.kind == kind::kRunEnd ||
                     record.kind == kind::kRunRedirect;
  if (!wakes) return;
  const ProcessRef process = kernel.find_process(subject);
  const bool has_work = process != nullptr && !process->is_init &&
                        (run_is_under_way(*process) || !process->queued.empty());
  if (has_work && process->state != RunState::dead) agents->wake(subject);
}

Kernel::State::Spent Kernel::State::find_spent(ProcessId pid, Spending spending) const {
  Lock lock(mutex);
  const ProcessRef own = fold.find(pid);
  if (own == nullptr || own->state == RunState::dead) return {};
  for (ProcessRef process = own; process != nullptr; process = fold.find(process->parent)) {
    if (process->state == RunState::dead) continue;
    const std::string_view resource = exceeded(process->limits, process->subtree, spending);
    if (resource.empty()) continue;
    return {.pid = process->pid,
            .resource = std::string(resource),
            .sentence = fmt::format("process {}: its budget is spent ({}); a larger limit in "
                                    "/proc/{}/limits, set in time, gives more",
                                    process->pid.value,
                                    show_exceeded(process->limits, process->subtree, resource),
                                    process->pid.value)};
  }
  return {};
}

Status Kernel::check_budget(const Process& process, Spending spending) const {
  const State::Spent spent = state_->find_spent(process.pid, spending);
  return spent.pid ? fail(EDQUOT, "{}", spent.sentence) : ok();
}

void Kernel::State::enforce_budget(ProcessId pid) {
  const Spent spent = find_spent(pid, Spending::nothing);
  if (!spent.pid) return;
  const Status ended = kernel.end_process(Caller::daemon(kernel), spent.pid,
                                          "quota:" + spent.resource, spent.sentence);
  if (!ended && ended.error().code != ESRCH) {
    log::error("process {}: cannot be ended over its budget: {}", spent.pid.value,
               ended.error().message);
  }
}

Status Kernel::end_process(const Caller& caller, ProcessId pid, const std::string& reason,
                           const std::string& text) {
  // The parent first: a dead process spawns no more.
  json::Value data;
  data.set("pid", pid.value).set("reason", reason);
  if (!text.empty()) data.set("text", text);
  TRY(commit(caller, std::string(kind::kProcessExit), std::move(data)));
  return end_descendants(caller, pid, reason, text);
}

Status Kernel::end_descendants(const Caller& caller, ProcessId pid, const std::string& reason,
                               const std::string& text) {
  Status result = ok();
  for (const ProcessId child : processes()) {
    const ProcessRef process = find_process(child);
    if (process == nullptr || process->parent != pid) continue;
    // A dead child's own children may live on.
    const Status ended = process->state == RunState::dead
                             ? end_descendants(caller, child, reason, text)
                             : end_process(caller, child, reason, text);
    if (!ended && ended.error().code != ESRCH && result) result = ended;
  }
  return result;
}

}  // namespace agentfs
