// SPDX-License-Identifier: MIT
// What the kernel is made of inside. Private to the kernel's own .cpp files.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <set>
#include <unordered_map>

#include "kernel/change_feed.h"
#include "kernel/clock_steps.h"
#include "kernel/configuration.h"
#include "kernel/error_log.h"
#include "kernel/event_lines.h"
#include "kernel/fold.h"
#include "kernel/keeper.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/leftovers.h"
#include "kernel/merges.h"
#include "kernel/metrics.h"
#include "kernel/refused_writes.h"
#include "kernel/stale_writes.h"
#include "kernel/streams.h"
#include "kernel/versions_in_use.h"

namespace agentfs {

// Two locks: `commit_mutex` is held by who appends and applies a record, `mutex` over each look at
// the state. So readers wait for a change of memory only, never for the journal's write.
// Timers and pool tasks hold the state weakly and enter it by Work, which stop() waits for: see
// post() and after().
struct Kernel::State : std::enable_shared_from_this<Kernel::State> {
  State(Kernel& owner, KernelParts given)
      : kernel(owner),
        parts(std::move(given)),
        errors(*parts.clock),
        stale_writes(owner),
        refused_writes(owner),
        keeper(*parts.store, *parts.journal),
        started(parts.clock->steady()) {}

  Kernel& kernel;  // there as long as Work can be entered
  const KernelParts parts;
  std::unique_ptr<Configuration> configuration;
  Metrics metrics;
  ErrorLog errors;
  Streams streams;
  EventLines events;
  ChangeFeed changes;
  ConflictTable conflicts;
  Temporaries temporaries{parts.state + "/temporaries"};
  StaleWrites stale_writes;
  RefusedWrites refused_writes;
  std::atomic<Userland*> userland = nullptr;
  std::atomic<Namespace*> paths = nullptr;

  ClockSteps clock_steps{parts.state + "/clock", *parts.clock};
  VersionsInUse in_use;              // of the past
  Mutex<Rank::document> emptying;    // of the past
  Mutex<Rank::document> collecting;  // in the forests
  Mutex<Rank::kernel> commit_mutex;
  mutable Mutex<Rank::object> mutex;
  Fold fold GUARDED_BY(mutex);

  // --- beside the callers: by a thread of the pool, if there is one, and by that of the loop. None
  // is begun once the kernel is stopping.
  using Task = std::move_only_function<void(State&)>;
  void post(Task task);
  EventLoop::TimerId after(std::chrono::nanoseconds delay, Task task);

  // --- the store (kernel_store.cpp)
  Keeper keeper;                        // used by whoever has set `storing`
  std::condition_variable_any changed;  // storing, working or committing has
  bool storing GUARDED_BY(mutex) = false;
  bool store_due GUARDED_BY(mutex) = false;     // a timer is on its way
  bool store_posted GUARDED_BY(mutex) = false;  // a task is
  void schedule_store(std::size_t dirty);
  void post_store();
  void post_store_after(std::chrono::nanoseconds delay);
  // `dirty`: how many objects had changed a moment ago.
  void store_when_quiet(std::size_t dirty, unsigned delays);
  Status store_dirty();

  // --- waiting (kernel_waiting.cpp)
  struct Waiter {
    ProcessId pid;
    Completion<std::string> done;
  };
  std::map<std::uint64_t, Waiter> waiters GUARDED_BY(mutex);
  std::map<std::uint64_t, std::shared_ptr<Listener>> listeners GUARDED_BY(mutex);
  std::uint64_t next_id GUARDED_BY(mutex) = 1;
  void complete_waiters(ProcessId pid);
  void tell_listeners(const Record& record, ProcessId subject);

  // --- time (kernel_time.cpp)
  struct Alarm {
    EventLoop::TimerId timer = 0;
    std::int64_t due = 0;
  };
  std::map<ProcessId, Alarm> alarms GUARDED_BY(mutex);
  void arm(ProcessId pid);
  void ring(ProcessId pid);
  std::int64_t due_of(const Process& process) const REQUIRES(mutex);
  std::int64_t wall_due(const Process& process, std::int64_t now) const REQUIRES(mutex);
  // The process or ancestor whose wall-clock budget is spent, or 0.
  ProcessId wall_spent(ProcessId pid, std::int64_t now) const REQUIRES(mutex);

  // --- callers and trees
  std::unordered_map<std::uint64_t, CommandIdentity> sandboxes GUARDED_BY(mutex);
  std::unordered_map<pid_t, CommandIdentity> unconfined GUARDED_BY(mutex);  // by supervisor
  std::atomic<bool> runs_unconfined = false;
  const CommandIdentity* command_of(const HostCaller& host) const REQUIRES(mutex);
  void count_commands() REQUIRES(mutex);
  mutable std::map<uid_t, std::string> user_names GUARDED_BY(mutex);
  mutable std::map<std::pair<uid_t, gid_t>, ExecUser> users GUARDED_BY(mutex);
  ExecUser user_of(const Process& process) const EXCLUDES(mutex);
  std::set<uid_t> with_home GUARDED_BY(mutex);  // whose it was looked for, once
  void ensure_home(const Caller& caller) EXCLUDES(mutex);
  std::set<std::string> committing GUARDED_BY(mutex);     // workspaces
  std::set<std::string> checkpointing GUARDED_BY(mutex);  // the same: a task commits checkpoints
  void run_checkpoints(const std::string& workspace) EXCLUDES(mutex);

  // --- committing (kernel_commit.cpp)
  struct Committed {
    Record record;
    ProcessId subject;
  };
  // What was owed and is told by it comes first in `told`.
  Status commit(const Author& author, std::string kind, json::Value data,
                std::vector<Committed>& told) EXCLUDES(mutex);
  Result<Committed> append(const Author& author, std::string kind, json::Value data)
      REQUIRES(commit_mutex) EXCLUDES(mutex);
  void after_commit(const Record& record, ProcessId subject);

  // --- what was done, cannot be undone and could not be told (kernel_owing.cpp): the next row of
  // anything is told behind it, if the journal takes it by then, and of the same whole tree there
  // is none before. Meanwhile it is tried again every few seconds. In memory only.
  struct Owed {
    Author author;
    std::string kind;
    json::Value data;
  };
  std::vector<Owed> owed GUARDED_BY(commit_mutex);
  void owe(Owed row) EXCLUDES(commit_mutex);
  Status pay(std::vector<Committed>& told) REQUIRES(commit_mutex) EXCLUDES(mutex);
  bool owes_tree(std::string_view kind, const json::Value& data) const REQUIRES(commit_mutex);
  void pay_later();
  void notify_userland(const Record& record, ProcessId subject);
  void enforce_budget(ProcessId pid);
  // The process or ancestor that has spent a budget, and which; 0 for none.
  struct Spent {
    ProcessId pid;
    std::string resource;
    std::string sentence;
  };
  Spent find_spent(ProcessId pid, Spending spending) const EXCLUDES(mutex);

  // What nobody has asked to be synced is, soon: a tree's names reach the disk by themselves, and
  // their rows are to be there when these are.
  void schedule_sync();
  void schedule_history(unsigned round = 0);  // what has been kept long enough goes now and then
  void schedule_collecting();                 // what trees were given up leaves its room soon

  const std::int64_t started;
  bool stopping GUARDED_BY(mutex) = false;
  std::size_t working GUARDED_BY(mutex) = 0;
};

// Of a commit: "reviewer (pid 9)", "root (pid 1)".
std::string author_name(const Fold& fold, ProcessId pid);

}  // namespace agentfs
