// SPDX-License-Identifier: MIT
// A kernel with agents over stores in memory, a model, files and a device that a test plays.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agents/agents.h"
#include "backends/memory/faults.h"
#include "backends/memory/memory.h"
#include "base/clock.h"
#include "kernel/configuration.h"
#include "kernel/journal.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"

namespace agentfs::agents::test {

// Waits for a condition without guessing how long it takes.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

// Answers as the test says, at once or when it likes; keeps what it was asked. Threads: all.
class FakeModel final : public ModelDriver {
 public:
  using Play = std::function<Result<ChatReply>(const ChatRequest&)>;
  explicit FakeModel(Play play = {}) : play_(std::move(play)) {}
  void start(ChatRequest request, Progress progress, Completion<ChatReply> done) override;

  void play(Play play);
  // From now on requests wait, until they are cancelled or release() answers them.
  void hold();
  void release();
  std::size_t asked() const;
  std::size_t cancelled() const { return cancelled_; }
  ChatRequest request(std::size_t index) const;  // from 0

 private:
  struct Held {
    ChatRequest request;
    Completion<ChatReply> done;
  };
  mutable Mutex<Rank::log> mutex_;
  Play play_ GUARDED_BY(mutex_);
  bool holding_ GUARDED_BY(mutex_) = false;
  std::vector<Held> held_ GUARDED_BY(mutex_);
  std::vector<ChatRequest> requests_ GUARDED_BY(mutex_);
  std::atomic<std::size_t> cancelled_ = 0;
};

ToolCall tool(std::string id, std::string name, std::string arguments);
ToolCall read_of(std::string id, const std::string& path);
ChatReply say(std::string text);
ChatReply call(std::vector<ToolCall> calls, std::string text = {});
// How many assistant messages stand after the last user message: the step a script is at.
std::size_t step_of(const ChatRequest& request);
// The text of the last message.
std::string last_text(const ChatRequest& request);
// Each call answered exactly once, right after its message, in the order of the calls; "" or what
// is wrong.
std::string find_invalid(const json::Array& messages);

// Files by path, in memory; a write below /workspaces is recorded before it is done. Threads: all.
class FakePaths final : public Namespace {
 public:
  Result<struct stat> attributes(const Caller&, const std::string& path) override;
  Result<std::string> read(const Caller&, const std::string& path, std::uint64_t offset,
                           std::uint64_t limit) override;
  Status write(const Caller&, const std::string& path, std::string_view text) override;
  Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) override;
  Status remove(const Caller&, const std::string& path) override;
  // Waits for ever; ends when it is cancelled.
  void command(const Caller&, const std::string& path, std::string line,
               Completion<std::string> reply) override;

  void put(const std::string& path, std::string text);
  std::string text(const std::string& path) const;
  std::size_t writes(const std::string& path) const;
  std::size_t commands() const { return commands_; }
  std::size_t most_readers() const { return most_readers_; }
  // Called within each read, with no lock held: to hold it up, or to look at what else runs.
  void on_read(std::function<void(const std::string& path)> callback);
  // From now on reading this path fails.
  void fail_reads(const std::string& path, int code);

 private:
  mutable Mutex<Rank::log> mutex_;
  std::map<std::string, std::string> files_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> writes_ GUARDED_BY(mutex_);
  std::map<std::string, int> failing_ GUARDED_BY(mutex_);
  std::function<void(const std::string&)> on_read_ GUARDED_BY(mutex_);
  std::atomic<std::size_t> readers_ = 0;
  std::atomic<std::size_t> most_readers_ = 0;
  std::atomic<std::size_t> commands_ = 0;
};

// Keeps what it was told to commit. Threads: all.
class FakeRepository final : public Repository {
 public:
  Result<std::string> commit(const TurnCommit& commit) override;
  std::vector<TurnCommit> commits() const;

 private:
  mutable Mutex<Rank::log> mutex_;
  std::vector<TurnCommit> commits_ GUARDED_BY(mutex_);
};

class NoExec final : public ExecDriver {
 public:
  void start(ExecRequest, std::function<void(const ExecStarted&)>,
             Completion<ExecReply> done) override {
    done.complete(fail(EPERM, "local: no sandbox in this test"));
  }
};

// What outlives a crash: the log, the store, the blobs and the files.
struct Disk {
  Disk();
  ~Disk();
  std::string directory;
  std::shared_ptr<LogStore> log = make_memory_log();
  std::shared_ptr<RecordStore> records = make_memory_records();
  std::unique_ptr<BlobStore> blobs = make_memory_blobs();
  FakePaths paths;
};

// One life of the daemon over a disk.
class World {
 public:
  explicit World(Disk& disk, FakeModel& model, std::size_t workers = 3);
  ~World();  // as a crash: nothing more is written by the agents

  Kernel& kernel() { return *kernel_; }
  Agents& agents() { return *agents_; }
  const FakeRepository& repository() const { return repository_; }
  // Records from the nth on cannot be written.
  void fail_records(std::size_t nth, int code = EIO, std::size_t times = 1'000'000);
  std::size_t records() const { return log_faults_->calls(LogCall::append); }

  // An agent with a task; further members of process.spawn.
  ProcessId spawn(const std::string& task = {}, json::Object more = {});
  Status send(ProcessId pid, const std::string& text);
  Status commit(ProcessId pid, std::string_view kind, json::Object data = {});
  // The answer, once no run is under way and nothing is queued.
  std::string wait(ProcessId pid);
  bool at_rest(ProcessId pid);
  ProcessRef process(ProcessId pid) { return kernel_->find_process(pid); }

 private:
  SystemClock clock_;
  EventLoop loop_;
  WorkerPool pool_;
  FakeRepository repository_;
  NoExec exec_;
  std::shared_ptr<LogFaults> log_faults_ = std::make_shared<LogFaults>();
  std::shared_ptr<RecordFaults> record_faults_ = std::make_shared<RecordFaults>();
  FaultLogStore log_;
  FaultRecordStore records_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Agents> agents_;
};

}  // namespace agentfs::agents::test
