// SPDX-License-Identifier: MIT
// A kernel over stores in memory and drivers that do what the test says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
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
#include "support/eventually.h"
#include "support/fakes.h"
#include "support/temporary.h"

namespace agentfs::test {

// The answer of a completion, once it is there (twenty seconds at most: then ETIMEDOUT).
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

// Called by the merger; null: nothing is.
struct MergeWatch {
  std::function<void()> before_plan;    // once the base is fixed
  std::function<Status()> after_apply;  // an error is that of apply(), which has done it
  std::function<Status()> before_undo;  // an error is that of undo(), which does nothing
};

inline const std::string kSite = "/workspaces/site";  // that every test kernel has

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
  void finish_work();  // what was posted to the pool until now is over when this returns
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
  MergeWatch merging;
  std::shared_ptr<LogStore> log;
  std::shared_ptr<RecordStore> store;

 private:
  const Options options_;
  TemporaryDirectory directory_;
  FaultLogStore faulty_log_;
  FaultRecordStore faulty_store_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<PastStore> past_;
  const std::unique_ptr<TreeComparer> comparer_;
  const std::unique_ptr<TreeMerger> merger_;
  const std::unique_ptr<OverlayFolder> folder_;
  std::map<std::string, std::unique_ptr<Forest>> forests_;
  EventLoop loop_;
  static constexpr std::size_t kWorkers = 2;
  WorkerPool pool_{kWorkers};
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Kernel> kernel_;
};

// {"pid": …} and more members.
json::Value about(ProcessId pid,
                  std::initializer_list<std::pair<std::string, json::Value>> members = {});

}  // namespace agentfs::test
