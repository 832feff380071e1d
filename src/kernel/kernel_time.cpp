// SPDX-License-Identifier: MIT
// What time does by itself: deadlines, wall-clock budgets, the reaping of the dead.
#include <algorithm>
#include <limits>

#include "base/log.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel_state.h"

namespace agentfs {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// A timer is set at most this far ahead and looks again: clocks are corrected, sums stay small.
constexpr std::int64_t kFarthest = std::int64_t{3'600} * 1'000'000'000;
constexpr std::int64_t kSoonest = 1'000'000;

bool is_below(const Fold& fold, ProcessRef process, ProcessId ancestor) {
  for (; process != nullptr; process = fold.find(process->parent)) {
    if (process->pid == ancestor) return true;
  }
  return false;
}

struct WallTime {
  std::int64_t used = 0;     // with what the runs under way have used so far
  std::int64_t running = 0;  // how many of those there are
};

WallTime wall_time(const Fold& fold, const Process& ancestor, std::int64_t now) {
  WallTime result{.used = ancestor.subtree.wall_ns, .running = 0};
  for (const auto& [pid, process] : fold.processes()) {
    if (!run_is_under_way(*process) || !is_below(fold, process, ancestor.pid)) continue;
    result.used += std::max<std::int64_t>(now - process->run.started, 0);
    ++result.running;
  }
  return result;
}

}  // namespace

std::int64_t Kernel::State::wall_due(const Process& process, std::int64_t now) const {
  std::int64_t due = kNever;
  for (ProcessRef one = fold.find(process.pid); one != nullptr; one = fold.find(one->parent)) {
    if (one->limits.wall_ns == 0 || one->state == RunState::dead) continue;
    const WallTime wall = wall_time(fold, *one, now);
    const std::int64_t left = std::max<std::int64_t>(one->limits.wall_ns - wall.used, 0);
    due = std::min(due, now + left / std::max<std::int64_t>(wall.running, 1));
  }
  return due;
}

ProcessId Kernel::State::wall_spent(ProcessId pid, std::int64_t now) const {
  for (ProcessRef one = fold.find(pid); one != nullptr; one = fold.find(one->parent)) {
    if (one->limits.wall_ns == 0 || one->state == RunState::dead) continue;
    if (wall_time(fold, *one, now).used >= one->limits.wall_ns) return one->pid;
  }
  return {};
}

std::int64_t Kernel::State::due_of(const Process& process) const {
  if (process.is_init) return kNever;
  if (process.state == RunState::dead) {
    const std::int64_t kept = configuration->kernel().reap_after_seconds;
    if (kept <= 0 || kept > kNever / 2'000'000'000) return kNever;
    return process.ended + kept * 1'000'000'000;
  }
  std::int64_t due = process.deadline > 0 ? process.deadline : kNever;
  if (run_is_under_way(process)) due = std::min(due, wall_due(process, parts.clock->wall()));
  return due;
}

void Kernel::State::arm(ProcessId pid) {
  const std::int64_t now = parts.clock->wall();
  // Under the lock, so that the timer cannot ring before it is known.
  Lock lock(mutex);
  const ProcessRef process = fold.find(pid);
  const std::int64_t due = process != nullptr && !stopping ? due_of(*process) : kNever;
  const auto found = alarms.find(pid);
  if (found != alarms.end()) {
    if (found->second.due == due) return;
    parts.loop->cancel(found->second.timer);
    alarms.erase(found);
  }
  if (due == kNever) return;
  const std::int64_t delay = std::clamp(due - now, kSoonest, kFarthest);
  const EventLoop::TimerId timer =
      after(std::chrono::nanoseconds(delay), [pid](State& state) { state.ring(pid); });
  alarms[pid] = {.timer = timer, .due = due};
}

void Kernel::settings_changed() {
  for (const ProcessId pid : processes()) state_->arm(pid);
}

void Kernel::State::ring(ProcessId pid) {
  const std::int64_t now = parts.clock->wall();
  ProcessRef process;
  ProcessId over;
  bool is_reaped = false;
  {
    Lock lock(mutex);
    alarms.erase(pid);
    process = fold.find(pid);
    if (process == nullptr) return;
    if (process->state == RunState::dead) {
      is_reaped = due_of(*process) <= now;
    } else if (run_is_under_way(*process)) {
      over = wall_spent(pid, now);
    }
  }
  const Caller self = Caller::daemon(kernel);
  Status done = ok();
  if (is_reaped) {
    json::Value data;
    data.set("pid", pid.value);
    const auto reaped = kernel.commit(self, std::string(kind::kProcessReap), std::move(data));
    // With children still to be reaped it waits: the last of them arms it again.
    if (!reaped) return;
  } else if (process->state != RunState::dead && process->deadline > 0 &&
             now >= process->deadline) {
    done = kernel.end_process(self, pid, "deadline", "its deadline has passed");
  } else if (over) {
    done = kernel.end_process(self, over, "quota:wall", "its wall-clock budget is spent");
  }
  if (!done && done.error().code != ESRCH) {
    log::error("process {}: {}", pid.value, done.error().message);
  }
  arm(pid);
}

void Kernel::do_behind_answer(std::function<void()> task) const {
  constexpr auto kAnswer = std::chrono::milliseconds(3);
  state_->after(kAnswer, [task = std::move(task)](State& state) mutable {
    state.post([task = std::move(task)](State&) { task(); });
  });
}

void Kernel::State::schedule_sync() {
  if (parts.pool == nullptr) return;
  constexpr std::chrono::seconds kInterval(1);
  after(kInterval, [](State& timer) {
    if (timer.parts.journal->is_synced()) return timer.schedule_sync();
    timer.post([](State& state) {
      if (const Status synced = state.parts.journal->sync(); !synced) {
        log::error("journal: not synced: {}", synced.error().message);
      }
      state.schedule_sync();
    });
  });
}

// Once a minute, and at once where there is much more than may be: a disk can be filled within one.
void Kernel::State::schedule_history(unsigned second) {
  if (parts.past == nullptr && parts.forests.empty()) return;
  constexpr std::chrono::seconds kInterval(1);
  constexpr unsigned kSeconds = 60;
  constexpr unsigned kRules = 10 * kSeconds;  // after which files of rules are looked at
  after(kInterval, [second](State& timer) {
    const bool is_time = second % kSeconds == 0;
    if (!is_time && !timer.kernel.history().overflows()) {
      return timer.schedule_history(second + 1);
    }
    timer.post([second](State& state) {
      if (const auto emptied = state.kernel.history().empty(second % kRules == 0); !emptied) {
        log::error("history: not emptied: {}", emptied.error().message);
      }
      if (const auto emptied = state.kernel.refused_writes().empty(); !emptied) {
        log::error("conflicts: not emptied: {}", emptied.error().message);
      }
      state.kernel.collect_forests();
      state.schedule_history(second + 1);
    });
  });
}

// Also what was given up before the start; what failed is tried again with the history, once a
// minute.
void Kernel::State::schedule_collecting() {
  if (parts.forests.empty() || parts.pool == nullptr) return;
  constexpr std::chrono::seconds kInterval(2);
  after(kInterval, [](State& timer) {
    if (!are_forests_loose(timer.kernel)) return timer.schedule_collecting();
    timer.post([](State& state) {
      state.kernel.collect_forests();
      state.schedule_collecting();
    });
  });
}

}  // namespace agentfs
