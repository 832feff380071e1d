// SPDX-License-Identifier: MIT
// Who works for which process, and what is under way for it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>

#include "agents/step.h"
#include "base/event_loop.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "base/worker_pool.h"

namespace agentfs::agents {

// The model's answer to the request of a run.
struct ModelArrival {
  std::uint64_t run = 0;
  std::uint64_t ticket = 0;
  Result<ChatReply> reply;
};
// A tool call's result.
struct CallArrival {
  std::uint64_t run = 0;
  std::uint64_t number = 0;
  Result<std::string> result;
};
using Arrival = std::variant<ModelArrival, CallArrival>;

// Runs one function for one process at a time, on the pool, whenever it is woken; and keeps what
// that function started until it has looked at the outcome. A process that is at rest, with
// nothing under way, is not known here.
//
// Threads: all may call all. The methods marked "acting" are for the acting function of that
// process only. Callbacks hold it weakly: it may go while answers are still to come.
class Dispatcher : public std::enable_shared_from_this<Dispatcher> {
 public:
  // Does one thing for the process; true when it should be called again at once.
  using Act = std::function<bool(ProcessId)>;
  Dispatcher(EventLoop& loop, WorkerPool& pool, Act act);

  void wake(ProcessId pid);
  void wake_later(ProcessId pid, std::chrono::nanoseconds delay);
  // Cancels what is under way but for that of one run (0: all of it).
  void cancel_others(ProcessId pid, std::uint64_t spared_run);
  // Cancels everything; when it returns no task runs and none will.
  void stop();
  std::size_t busy() const;
  // Runs it unless stopped or stopping: for callbacks that may come late and touch the kernel.
  void while_running(const std::function<void()>& callback);

  // --- acting
  UnderWay under_way(ProcessId pid, std::uint64_t run) const;
  // The oldest outcome not yet dealt with; stays until drop_arrival().
  const Arrival* arrival(ProcessId pid);
  void drop_arrival(ProcessId pid);
  // Takes the place of a request before it, which is cancelled.
  Completion<ChatReply> expect_reply(ProcessId pid, std::uint64_t run);
  // Runs `start` on the pool; it completes what it is given, now or later.
  using Start = std::function<void(Completion<std::string>)>;
  void start_call(ProcessId pid, const Call& call, Start start);
  // How often the model answered nothing, in a row.
  int& empty_answers(ProcessId pid);

 private:
  struct ModelFlight {
    std::uint64_t run = 0;
    std::uint64_t ticket = 0;
    Completion<ChatReply> completion;
  };
  struct CallFlight {
    std::uint64_t run = 0;
    Completion<std::string> completion;
    bool cancelled = false;
  };
  struct Worker {
    bool scheduled = false;  // a task is posted or runs
    bool again = false;      // woken since
    std::optional<ModelFlight> model;
    std::map<std::uint64_t, CallFlight> calls;
    std::deque<Arrival> arrivals;
    int empty_answers = 0;
  };
  class Activity;

  void work(ProcessId pid);
  bool rest(ProcessId pid);
  void arrive(ProcessId pid, Arrival arrival);
  void run_call(ProcessId pid, std::uint64_t number, const Start& start);
  Worker& worker(ProcessId pid) REQUIRES(mutex_);

  EventLoop& loop_;
  WorkerPool& pool_;
  const Act act_;
  mutable Mutex<Rank::driver> mutex_;
  std::condition_variable_any quiet_;
  std::unordered_map<ProcessId, std::unique_ptr<Worker>> workers_ GUARDED_BY(mutex_);
  std::uint64_t next_ticket_ GUARDED_BY(mutex_) = 1;
  std::size_t active_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace agentfs::agents
