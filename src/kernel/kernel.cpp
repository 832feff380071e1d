// SPDX-License-Identifier: MIT
#include "kernel/kernel.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/fast_path.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/imports.h"
#include "kernel/kernel_state.h"
#include "kernel/leftovers.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/tree_order.h"

namespace agentfs {
namespace {

constexpr std::uint64_t kEventBytes = std::uint64_t{64} << 20;  // of the journal, read at a start

// Stands in until the agents are there: nothing is done, nothing is known.
class NoUserland final : public Userland {
 public:
  void wake(ProcessId) override {}
  void interrupt(ProcessId) override {}
  Result<std::string> context(const Process& process) override { return none(process); }
  Result<std::string> context_why(const Process& process) override { return none(process); }

 private:
  static Result<std::string> none(const Process& process) {
    return fail(ENOTSUP, "process {}: no agents run in this kernel", process.pid.value);
  }
};

// The record before the newest segments that add up to kEventBytes.
Sequence events_from(const LogStore& log) {
  const std::vector<SegmentInfo> segments = log.segments();
  std::uint64_t bytes = 0;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    bytes += segment->size;
    if (bytes < kEventBytes) continue;
    const auto first =
        text::number<std::uint64_t>(segment->name.substr(0, segment->name.find('.')));
    return {first.value_or(1) - 1};
  }
  return {};
}

// What a kill left there. What stays of it is in the way of nobody.
void remove_staged(const std::string& state) {
  std::error_code ignored;
  std::filesystem::remove_all(state + "/staged", ignored);
  std::filesystem::remove_all(state + "/trees/.home/staged", ignored);
}

ProcessId subject_of(const Record& record) {
  if (const std::int64_t pid = record.data["pid"].number(); pid > 0) {
    return {static_cast<std::uint64_t>(pid)};
  }
  return record.author.lineage.empty() ? ProcessId{} : record.author.lineage.front();
}

Status load_events(const Journal& journal, EventLines& events, ChangeFeed& changes) {
  const auto add = [&](const Record& record, std::string_view line) {
    changes.add(record);
    if (record.kind == kind::kProcessReap) {
      events.forget(subject_of(record));
    } else if (const ProcessId pid = subject_of(record)) {
      events.add(pid, std::string(line) + "\n");
    }
    return ok();
  };
  std::vector<std::string> damaged;
  const Sequence before = events_from(journal.log());
  changes.begin_after(before);
  TRY(journal.replay_readable(before, add, damaged));
  for (const std::string& sentence : damaged) {
    log::error("journal: {}; what it told of is missing in the events", sentence);
  }
  return ok();
}

}  // namespace

// A task's stay in the kernel: false once it is stopping.
class Kernel::Work {
 public:
  explicit Work(const std::weak_ptr<State>& state);
  ~Work();
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  explicit operator bool() const { return state_ != nullptr; }
  State& operator*() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};

Kernel::Work::Work(const std::weak_ptr<State>& state) {
  std::shared_ptr<State> found = state.lock();
  if (found == nullptr) return;
  Lock lock(found->mutex);
  if (found->stopping) return;
  ++found->working;
  state_ = found;
}

Kernel::Work::~Work() {
  if (state_ == nullptr) return;
  {
    Lock lock(state_->mutex);
    --state_->working;
  }
  state_->changed.notify_all();
}

void Kernel::State::post(Task task) {
  if (parts.pool == nullptr) return;
  parts.pool->post([weak = weak_from_this(), task = std::move(task)]() mutable {
    if (const Work work{weak}) task(*work);
  });
}

EventLoop::TimerId Kernel::State::after(std::chrono::nanoseconds delay, Task task) {
  return parts.loop->after(delay, [weak = weak_from_this(), task = std::move(task)]() mutable {
    if (const Work work{weak}) task(*work);
  });
}

Kernel::Kernel(KernelParts parts) : state_(std::make_shared<State>(*this, std::move(parts))) {}

Kernel::~Kernel() { stop(); }

Result<std::unique_ptr<Kernel>> Kernel::start(KernelParts parts) {
  std::unique_ptr<Kernel> kernel(new Kernel(std::move(parts)));
  State& state = *kernel->state_;
  const KernelParts& given = state.parts;
  for (const char* tree : {"home", "workspaces", "src/repos", "tmp"}) {
    TRY(file::make_directories(given.state + "/trees/" + tree));
  }
  state.configuration = TRY(Configuration::open(given.state + "/etc"));
  given.journal->set_segment_bytes(state.configuration->kernel().journal_segment_bytes);
  Fold fold = TRY(state.keeper.load());
  std::size_t dirty = 0;
  {
    Lock lock(state.mutex);
    state.fold = std::move(fold);
    dirty = state.fold.dirty().size();
    // What is ended from here on keeps versions, too: none gets a number that another has.
    if (given.past != nullptr) given.past->reserve(state.fold.history().last());
  }
  TRY(load_events(*given.journal, state.events, state.changes));
  if (dirty != 0) state.schedule_store(dirty);
  HostCaller owner;
  owner.uid = given.owner;
  owner.gid = ::getgid();
  const Caller starter = TRY(kernel->ensure_caller(owner));
  std::vector<std::string> problems = given.problems;
  std::ranges::copy(state.keeper.problems(), std::back_inserter(problems));
  for (const std::string& problem : problems) {
    log::warning("state: {}", problem);
    kernel->errors().add(starter.process, "/sys/journal", {EBADMSG, problem});
    json::Value data;
    data.set("text", problem);
    TRY(kernel->commit(starter, std::string(kind::kStateProblem), std::move(data)));
  }
  for (const ProcessId pid : kernel->processes()) state.arm(pid);
  TRY(FastPath(*kernel).settle());
  end_tree_orders(*kernel);
  TRY(MergeBases(*kernel).settle());
  TRY(kernel->merges().settle());
  TRY(MergeBases(*kernel).settle_conflicts());
  TRY(kernel->imports().settle());
  TRY(kernel->history().settle());
  state.temporaries.settle(*kernel);
  remove_staged(given.state);
  TRY(kernel->refused_writes().settle());
  state.schedule_history();
  state.schedule_collecting();
  state.schedule_sync();
  return kernel;
}

void Kernel::stop() {
  State& state = *state_;
  {
    Lock lock(state.mutex);
    if (state.stopping) return;
    state.stopping = true;
    while (state.working != 0 || state.storing) state.changed.wait(lock);
  }
  if (const Status stored = state.store_dirty(); !stored) {
    log::error("store: not brought up to date: {}; the journal has it all", stored.error().message);
  }
  if (const Status synced = state.parts.journal->sync(); !synced) {
    log::error("journal: not synced: {}", synced.error().message);
  }
}

void Kernel::set_userland(Userland* userland) { state_->userland = userland; }
void Kernel::set_namespace(Namespace* paths) { state_->paths = paths; }

void Kernel::resume() {
  const Caller self = Caller::daemon(*this);
  for (const ProcessId pid : processes()) {
    const ProcessRef process = find_process(pid);
    if (process == nullptr || process->is_init || process->state == RunState::dead) continue;
    const bool is_at_work = run_is_under_way(*process);
    if (!is_at_work && process->queued.empty()) continue;
    for (const CallRef& call : process->calls) {
      if (!is_at_work || call->ended != 0 || call->run != process->run.number) continue;
      json::Value data;
      data.set("pid", pid.value).set("call", call->number).set("state", "interrupted");
      data.set("result",
               call->state == Call::State::pending
                   ? "interrupted: the daemon stopped before this call began; it had no effect"
                   : "interrupted: the daemon stopped while this call ran; it may or may not have "
                     "had its effect");
      const auto ended = commit(self, std::string(kind::kCallEnd), std::move(data));
      if (!ended) log::error("process {}: {}", pid.value, ended.error().message);
    }
    userland().wake(pid);
  }
  std::vector<std::string> pending;
  look_at_fold([&](const Fold& fold) { pending = fold.with_pending_checkpoints(); });
  for (const std::string& workspace : pending) commit_checkpoints(workspace);
}

ProcessRef Kernel::find_process(ProcessId pid) const {
  Lock lock(state_->mutex);
  return state_->fold.find(pid);
}

Result<ProcessRef> Kernel::get_process(ProcessId pid) const {
  if (ProcessRef process = find_process(pid)) return process;
  return fail(ENOENT, "process {}: no such process; /proc lists those there are", pid.value);
}

std::vector<ProcessId> Kernel::processes() const {
  std::vector<ProcessId> pids;
  Lock lock(state_->mutex);
  for (const auto& [pid, process] : state_->fold.processes()) pids.push_back(pid);
  return pids;
}

ProcessRef Kernel::init_process(uid_t uid) const {
  Lock lock(state_->mutex);
  return state_->fold.find(state_->fold.init_of(uid));
}

Result<std::string> Kernel::call_result(const Call& call) const {
  if (call.result_blob.empty()) return call.result;
  return blobs().get(call.result_blob);
}

void Kernel::look_at_history(const std::function<void(const History&)>& look) const {
  Lock lock(state_->mutex);
  look(state_->fold.history());
}

Quotas Kernel::quotas() const {
  Lock lock(state_->mutex);
  return state_->fold.quotas();
}

void Kernel::look_at_fold(const std::function<void(const Fold&)>& look) const {
  Lock lock(state_->mutex);
  look(state_->fold);
}

StaleWrites& Kernel::stale_writes() const { return state_->stale_writes; }
RefusedWrites& Kernel::refused_writes() const { return state_->refused_writes; }
ConflictTable& Kernel::conflicts() const { return state_->conflicts; }
Temporaries& Kernel::temporaries() const { return state_->temporaries; }
Merges Kernel::merges() { return Merges(*this); }
Forks Kernel::forks() const { return Forks(state_->kernel); }
Imports Kernel::imports() const { return Imports(state_->kernel); }
HistoryKeeper Kernel::history() {
  return {*this, state_->emptying, state_->clock_steps, state_->in_use};
}

Journal& Kernel::journal() const { return *state_->parts.journal; }
Status Kernel::sync() { return journal().sync(); }
std::string Kernel::events(ProcessId pid) const { return state_->events.text(pid); }

const Clock& Kernel::clock() const { return *state_->parts.clock; }
EventLoop& Kernel::loop() const { return *state_->parts.loop; }
WorkerPool& Kernel::pool() const { return *state_->parts.pool; }
BlobStore& Kernel::blobs() const { return *state_->parts.blobs; }
ExecDriver& Kernel::exec() const { return *state_->parts.exec; }
Configuration& Kernel::configuration() const { return *state_->configuration; }
Metrics& Kernel::metrics() const { return state_->metrics; }
ChangeFeed& Kernel::changes() const { return state_->changes; }
ErrorLog& Kernel::errors() const { return state_->errors; }
Streams& Kernel::streams() const { return state_->streams; }
const KernelParts& Kernel::parts() const { return state_->parts; }

Userland& Kernel::userland() const {
  static NoUserland none;
  Userland* agents = state_->userland.load();
  return agents != nullptr ? *agents : none;
}

std::int64_t Kernel::uptime() const { return clock().steady() - state_->started; }

std::string Kernel::metrics_text() const {
  std::map<std::string_view, std::size_t> states;
  for (int state = 0; state <= static_cast<int>(RunState::dead); ++state) {
    states[name(static_cast<RunState>(state))] = 0;
  }
  {
    Lock lock(state_->mutex);
    for (const auto& [pid, process] : state_->fold.processes()) ++states[name(process->state)];
  }
  std::string out = state_->metrics.text();
  out += "# HELP agentfs_processes Processes by state.\n# TYPE agentfs_processes gauge\n";
  for (const auto& [state, count] : states) {
    out += fmt::format("agentfs_processes{{state=\"{}\"}} {}\n", state, count);
  }
  out += fmt::format(
      "# HELP agentfs_journal_sequence Number of the journal's last record.\n"
      "# TYPE agentfs_journal_sequence counter\nagentfs_journal_sequence {}\n",
      journal().head().sequence.value);
  out += fmt::format(
      "# HELP agentfs_uptime_seconds Time since the kernel started.\n"
      "# TYPE agentfs_uptime_seconds gauge\nagentfs_uptime_seconds {}\n",
      uptime() / 1'000'000'000);
  return out;
}

}  // namespace agentfs
