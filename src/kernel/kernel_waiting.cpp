// SPDX-License-Identifier: MIT
// Who waits for the end of a run, and who listens to all that happens.
#include <optional>

#include "kernel/kernel_state.h"

namespace agentfs {
namespace {

// What a waiter is told now; nothing while the process has work.
std::optional<Result<std::string>> answer_of(const Fold& fold, ProcessId pid) {
  const ProcessRef process = fold.find(pid);
  if (process == nullptr) return std::unexpected(fold.find_live(pid).error());
  if (process->state == RunState::dead) return process->exit_reason;
  if (run_is_under_way(*process) || !process->queued.empty()) return std::nullopt;
  return process->run.text;
}

}  // namespace

void Kernel::await_run_end(ProcessId pid, Completion<std::string> done) {
  State& state = *state_;
  std::optional<Result<std::string>> answer;
  std::uint64_t id = 0;
  {
    Lock lock(state.mutex);
    answer = answer_of(state.fold, pid);
    if (!answer) {
      id = state.next_id++;
      state.waiters.emplace(id, State::Waiter{.pid = pid, .done = done});
    }
  }
  if (answer) {
    done.complete(std::move(*answer));
    return;
  }
  done.on_cancel([weak = state.weak_from_this(), id, done] {
    if (const std::shared_ptr<State> there = weak.lock()) {
      State::Waiter dropped;  // destroyed after the lock
      Lock lock(there->mutex);
      const auto found = there->waiters.find(id);
      if (found != there->waiters.end()) {
        dropped = std::move(found->second);
        there->waiters.erase(found);
      }
    }
    done.complete(fail(EINTR, "wait: interrupted"));
  });
}

void Kernel::State::complete_waiters(ProcessId pid) {
  std::vector<Completion<std::string>> ready;
  std::optional<Result<std::string>> answer;
  {
    Lock lock(mutex);
    if (waiters.empty()) return;
    answer = answer_of(fold, pid);
    if (!answer) return;
    std::erase_if(waiters, [&](const auto& entry) {
      if (entry.second.pid == pid) ready.push_back(entry.second.done);
      return entry.second.pid == pid;
    });
  }
  for (const Completion<std::string>& done : ready) done.complete(*answer);
}

std::uint64_t Kernel::subscribe(Listener listener) {
  Lock lock(state_->mutex);
  const std::uint64_t id = state_->next_id++;
  state_->listeners.emplace(id, std::make_shared<Listener>(std::move(listener)));
  return id;
}

void Kernel::unsubscribe(std::uint64_t subscription) {
  std::shared_ptr<Listener> dropped;  // destroyed after the lock
  Lock lock(state_->mutex);
  const auto found = state_->listeners.find(subscription);
  if (found == state_->listeners.end()) return;
  dropped = std::move(found->second);
  state_->listeners.erase(found);
}

void Kernel::State::tell_listeners(const Record& record, ProcessId subject) {
  std::vector<std::shared_ptr<Listener>> all;
  {
    Lock lock(mutex);
    all.reserve(listeners.size());
    for (const auto& [id, listener] : listeners) all.push_back(listener);
  }
  for (const auto& listener : all) (*listener)(record, subject);
}

}  // namespace agentfs
