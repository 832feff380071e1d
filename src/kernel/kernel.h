// SPDX-License-Identifier: MIT
// The kernel: processes, the journal and its fold, models and devices, and who is who.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/worker_pool.h"
#include "kernel/caller.h"
#include "kernel/journal.h"
#include "kernel/kernel_parts.h"
#include "kernel/limits.h"
#include "kernel/namespace.h"
#include "kernel/process.h"
#include "kernel/quota.h"
#include "kernel/tree_change.h"
#include "kernel/userland.h"

namespace agentfs {

class ChangeFeed;  // kernel/change_feed.h
class History;     // kernel/history.h: versions of files, and the trash
class HistoryKeeper;
class Forks;          // kernel/forks.h
class Imports;        // kernel/imports.h
class Merges;         // kernel/merges.h
class Fold;           // kernel/fold.h
class StaleWrites;    // kernel/stale_writes.h
class RefusedWrites;  // kernel/refused_writes.h
class ConflictTable;
class Temporaries;    // kernel/leftovers.h
class Configuration;  // kernel/configuration.h: the documents under /etc
class Metrics;        // kernel/metrics.h: counters behind /sys/kernel/metrics
class ErrorLog;       // kernel/error_log.h: the sentences behind /proc/<pid>/errors
class Streams;        // kernel/streams.h: live text of runs behind /proc/<pid>/stream

// Threads: all may call all. Its own lock is never held while a backend, a listener or a
// completion runs. Errors: ENOENT no such process, ESRCH it is dead or reaped, as the contract
// says; ENOSPC and EIO when the journal cannot be written: then nothing has changed.
class Kernel {
 public:
  // Loads the store, replays what the journal has beyond it, makes the owner's init process.
  static Result<std::unique_ptr<Kernel>> start(KernelParts parts);
  ~Kernel();  // as stop()
  // Folds what is left into the store and syncs. Nothing may call the kernel afterwards.
  void stop();

  void set_userland(Userland* userland);
  void set_namespace(Namespace* paths);
  // After a change of the documents: what hangs on them (when the dead are reaped) is looked at
  // again. Threads: all.
  void settings_changed();
  // Processes that were at work when the daemon died: marks what was in flight, wakes the agents.
  void resume();

  // --- processes
  ProcessRef find_process(ProcessId pid) const;         // null when unknown or reaped
  Result<ProcessRef> get_process(ProcessId pid) const;  // ENOENT; dead ones are found
  std::vector<ProcessId> processes() const;             // ascending
  ProcessRef init_process(uid_t uid) const;             // null when it has none yet
  // EDQUOT: the process or an ancestor has spent more than its limits give, or has nothing left to
  // begin a turn or a call with.
  Status check_budget(const Process& process, Spending spending = Spending::nothing) const;
  // Ends the process and all its descendants, each with this reason, and interrupts their work.
  // ESRCH it is dead; EPERM it is an init process.
  Status end_process(const Caller& caller, ProcessId pid, const std::string& reason,
                     const std::string& text = {});
  // Whether the caller may signal and set the process: its owner, root, an agent that is its
  // ancestor, and an agent itself. EPERM.
  Status may_control(const Caller& caller, const Process& process) const;
  // Whether the caller may change this path of the data trees, which is free of links: an agent its
  // workspace, its home and /tmp, as its commands; a person what the disk lets them. EPERM.
  Status may_change(const Caller& caller, const std::string& path) const;
  // The full result of a call: the text itself or its blob.
  Result<std::string> call_result(const Call& call) const;

  // --- the journal
  // The only way to change durable state: appends the record by this caller, folds it into the
  // state, tells the listeners. Kinds and their data: kernel/kinds.h. EBUSY when the fold refuses
  // it (a transition that the table does not have): then nothing was written. Userland is woken
  // where there is something to do, and interrupted where a process has ended.
  Result<Record> commit(const Caller& caller, std::string kind, json::Value data);
  Journal& journal() const;
  Status sync();  // for fsync: survives power loss
  // Journal lines about one process, oldest first (the last 10,000): its events.jsonl.
  std::string events(ProcessId pid) const;

  // --- callers
  Caller identify(const HostCaller& host);  // makes no process: 0 when unknown
  // The same for one who is about to change something: makes the person's init process if needed.
  Result<Caller> ensure_caller(const HostCaller& host);
  // A person's directory below /home, where there is none yet; closed to others.
  Status make_home(uid_t uid, gid_t gid);
  // The agent's own hand, with its owner's rights.
  Caller agent(ProcessId pid, std::string via = {}) const;
  // Whose rights a command of the caller has: a person's own, an agent's owner's.
  ExecUser exec_user(const Caller& caller) const;
  uid_t user_of(const Caller& caller) const;
  // Root, and who mounted: nothing of other users' is closed to these.
  bool is_ruler(uid_t uid) const;
  Author author(const Caller& caller) const;
  void add_command(const CommandIdentity& identity);
  void remove_command(const CommandIdentity& identity);
  bool runs_unconfined() const;  // a command without a sandbox
  // Names that a person's own uid stands for: "root", "user1000".
  std::string user_name(uid_t uid) const;

  // --- waiting
  // Completes when the process has no run under way and no message queued (at once if so now):
  // the last answer; for a dead process its exit reason. Cancelled by the completion's cancel().
  void await_run_end(ProcessId pid, Completion<std::string> done);
  // Called after each committed record, on the committing thread, with no lock held.
  using Listener = std::function<void(const Record& record, ProcessId subject)>;
  std::uint64_t subscribe(Listener listener);
  void unsubscribe(std::uint64_t subscription);

  // --- models
  // Asks the model by name, its fallbacks in turn; charges nobody. ENOENT with the nearest names.
  void ask_model(const std::string& name, ChatRequest request, ModelDriver::Progress progress,
                 Completion<ChatReply> done);

  // --- data trees
  // A change that was made under a tree: the journal row, and the path for the turn commit.
  Status record_change(const Caller& caller, const TreeChange& change);
  // Commits what has changed in the process's workspace since its last turn commit; the commit id,
  // or "" when there is nothing. Blocks on the disk.
  Result<std::string> commit_turn(ProcessId pid, std::uint64_t turn);
  // Where a checkpoint becomes a git commit, the last record whose change one made now would have.
  std::optional<Sequence> checkpoint_reaches(const std::string& root) const;
  // Does it on the pool, when who asks now is likely to have been answered: with few CPUs it would
  // be in their way. Not at all where there is no pool, or the kernel stops first.
  void do_behind_answer(std::function<void()> task) const;
  // Begins to make the commits of a workspace's checkpoints that have none yet; returns at once.
  void commit_checkpoints(const std::string& workspace);
  // While it lives no commit writes into the workspace's repository; waits for one under way. EBUSY
  // where that takes longer.
  Result<Hold> hold_commits(const std::string& root, std::chrono::milliseconds longest) const;
  Status between_commits(const std::string& root, const std::function<Status()>& act) const;
  std::vector<std::string> workspaces() const;  // sorted
  // Gives back the disk's room of what no tree depends on any more. Blocks.
  void collect_forests();
  // Host path of the plain directory behind a path of the data trees; ENOENT for others.
  Result<std::string> host_path(const std::string& path) const;

  // --- old contents of the data trees; under the kernel's lock: `look` only copies out
  void look_at_history(const std::function<void(const History&)>& look) const;
  void look_at_fold(const std::function<void(const Fold&)>& look) const;
  HistoryKeeper history();
  Quotas quotas() const;  // those that are set; kernel/quota_keeper.h shows and sets them
  Forks forks() const;
  Imports imports() const;
  Merges merges();
  ConflictTable& conflicts() const;  // kernel/merges.h
  Temporaries& temporaries() const;
  StaleWrites& stale_writes() const;
  RefusedWrites& refused_writes() const;

  // --- parts
  const Clock& clock() const;
  EventLoop& loop() const;
  WorkerPool& pool() const;
  BlobStore& blobs() const;
  ExecDriver& exec() const;
  Namespace& paths() const;
  Userland& userland() const;
  Configuration& configuration() const;
  Metrics& metrics() const;
  ErrorLog& errors() const;
  Streams& streams() const;
  ChangeFeed& changes() const;
  const KernelParts& parts() const;
  // Counters, processes by state, journal and uptime, as Prometheus reads them.
  std::string metrics_text() const;
  std::int64_t uptime() const;  // nanoseconds since start()

 private:
  void tell_home(const std::string& user);
  struct State;
  class Work;
  Status end_descendants(const Caller& caller, ProcessId pid, const std::string& reason,
                         const std::string& text);
  explicit Kernel(KernelParts parts);
  std::shared_ptr<State> state_;  // shared with timers and tasks, which look whether it is there
};

}  // namespace agentfs
