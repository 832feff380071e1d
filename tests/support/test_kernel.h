// SPDX-License-Identifier: MIT
// A kernel over stores in memory and drivers that do what the test says.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/memory/faults.h"
#include "backends/memory/memory.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/worker_pool.h"
#include "kernel/configuration.h"
#include "kernel/kernel.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/gate.h"
#include "kernel/syscalls/proc.h"

namespace agentfs::test {

// A directory of its own under /tmp, removed with all in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Waits until the condition holds; false after ten seconds.
bool eventually(const std::function<bool()>& condition);

// The answer of a completion, once it is there (ten seconds at most: then ETIMEDOUT).
template <class T>
class Answer {
 public:
  Answer() : completion_([box = box_](Result<T> result) { box->put(std::move(result)); }) {}
  const Completion<T>& completion() const { return completion_; }
  bool is_there() const { return box_->is_there(); }
  Result<T> wait() const {
    if (!eventually([this] { return is_there(); })) return fail(ETIMEDOUT, "test: no answer");
    return box_->get();
  }

 private:
  class Box {
   public:
    void put(Result<T> result) {
      Lock lock(mutex_);
      result_ = std::move(result);
    }
    bool is_there() const {
      Lock lock(mutex_);
      return result_.has_value();
    }
    Result<T> get() const {
      Lock lock(mutex_);
      return *result_;
    }

   private:
    mutable Mutex<Rank::queue> mutex_;
    std::optional<Result<T>> result_ GUARDED_BY(mutex_);
  };
  std::shared_ptr<Box> box_ = std::make_shared<Box>();
  Completion<T> completion_;
};

// Answers requests in order from `replies`; keeps those that come when there is none until
// answer() or a cancel. Threads: all.
class FakeModel final : public ModelDriver {
 public:
  void start(ChatRequest request, Progress progress, Completion<ChatReply> done) override;
  void reply(Result<ChatReply> reply);  // to the oldest request waiting, or the next to come
  std::vector<ChatRequest> requests() const;
  std::size_t waiting() const;

 private:
  mutable Mutex<Rank::driver> mutex_;
  std::vector<ChatRequest> requests_ GUARDED_BY(mutex_);
  std::deque<Result<ChatReply>> replies_ GUARDED_BY(mutex_);
  std::deque<Completion<ChatReply>> waiting_ GUARDED_BY(mutex_);
};
ChatReply text_reply(std::string text, std::int64_t tokens_in = 10, std::int64_t tokens_out = 5);

// Answers each command by `run`; without it, and where it gives nothing, a command runs until it
// is cancelled. Threads: all, once `run` is set.
class FakeExec final : public ExecDriver {
 public:
  std::function<std::optional<Result<ExecReply>>(const ExecRequest&)> run;
  void start(ExecRequest request, std::function<void(const ExecStarted&)> started,
             Completion<ExecReply> done) override;
  std::vector<ExecRequest> requests() const;

 private:
  mutable Mutex<Rank::driver> mutex_;
  std::vector<ExecRequest> requests_ GUARDED_BY(mutex_);
};

class FakeRepository final : public Repository {
 public:
  Result<std::string> commit(const TurnCommit& commit) override;
  std::vector<TurnCommit> commits() const;
  void fail_next(Error error);

 private:
  mutable Mutex<Rank::driver> mutex_;
  std::vector<TurnCommit> commits_ GUARDED_BY(mutex_);
  std::optional<Error> failure_ GUARDED_BY(mutex_);
};

// Files by path in a map; directories are what lies above them and what make_directory() made.
// Changes below the data trees are recorded as the mount does. Threads: all.
class FakeNamespace final : public Namespace {
 public:
  void put(const std::string& path, std::string text);
  void make_directory(const std::string& path);
  std::optional<std::string> get(const std::string& path) const;
  std::function<Result<std::string>(const Caller&, const std::string&, const std::string&)>
      on_command;

  Result<struct stat> attributes(const Caller&, const std::string& path) override;
  Result<std::string> read(const Caller&, const std::string& path, std::uint64_t offset,
                           std::uint64_t limit) override;
  Status write(const Caller&, const std::string& path, std::string_view text) override;
  Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) override;
  Status remove(const Caller&, const std::string& path) override;
  void command(const Caller&, const std::string& path, std::string line,
               Completion<std::string> reply) override;

 private:
  bool is_directory(const std::string& path) const REQUIRES(mutex_);
  mutable Mutex<Rank::driver> mutex_;
  std::map<std::string, std::string> files_ GUARDED_BY(mutex_);
  std::map<std::string, bool> directories_ GUARDED_BY(mutex_);
};

// Counts what it is told; an agent's answers are the test's own business.
class FakeUserland final : public Userland {
 public:
  void wake(ProcessId pid) override;
  void interrupt(ProcessId pid) override;
  Result<std::string> context(const Process&) override { return std::string("context\n"); }
  Result<std::string> context_why(const Process&) override { return std::string("why\n"); }
  int wakes(ProcessId pid) const;
  int interrupts(ProcessId pid) const;

 private:
  mutable Mutex<Rank::queue> mutex_;
  std::map<ProcessId, int> wakes_ GUARDED_BY(mutex_);
  std::map<ProcessId, int> interrupts_ GUARDED_BY(mutex_);
};

// The kernel of the owner root (uid 0) with workspace "site", model "default" and "other" of the
// driver "fake", and the init process as person(). The stores outlive a restart().
class TestKernel {
 public:
  struct Options {
    bool fake_userland = true;
    std::string agentfs_toml{};
    const Clock* clock = nullptr;  // the fake clock where null
  };
  TestKernel() : TestKernel(Options{}) {}
  explicit TestKernel(Options options);
  ~TestKernel();

  Kernel& kernel() { return *kernel_; }
  Caller person();           // root's shell
  Caller person(uid_t uid);  // another user's; made where it is not there
  ProcessId spawn(const proc::Spawn& args = {});
  Status stop_and_start();  // a clean end, a new start over the same stores
  Status start();
  void stop() { kernel_.reset(); }
  ProcessRef process(ProcessId pid) { return kernel_->find_process(pid); }
  Result<Record> commit(std::string_view kind, json::Value data);
  std::string state() const { return directory_.path(); }
  std::vector<std::string> lines() const;  // of the journal

  FakeClock clock;
  FakeModel model;
  FakeExec exec;
  FakeRepository repository;
  FakeNamespace paths;
  FakeUserland userland;
  std::shared_ptr<LogFaults> log_faults = std::make_shared<LogFaults>();
  std::shared_ptr<RecordFaults> record_faults = std::make_shared<RecordFaults>();
  std::shared_ptr<LogStore> log;
  std::shared_ptr<RecordStore> store;

 private:
  const Options options_;
  TemporaryDirectory directory_;
  FaultLogStore faulty_log_;
  FaultRecordStore faulty_store_;
  std::unique_ptr<BlobStore> blobs_;
  EventLoop loop_;
  WorkerPool pool_{2};
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Kernel> kernel_;
};

// {"pid": …} and more members.
json::Value about(ProcessId pid,
                  std::initializer_list<std::pair<std::string, json::Value>> members = {});

}  // namespace agentfs::test
