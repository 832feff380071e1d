// SPDX-License-Identifier: MIT
// A few threads for work that may block for a short while.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace agentfs {

// Threads: all may post. Tasks run in order of posting, as many at once as there are workers.
class WorkerPool {
 public:
  using Task = std::move_only_function<void()>;
  explicit WorkerPool(std::size_t workers);
  ~WorkerPool();  // waits for the running tasks and drops the queued ones
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void post(Task task);
  void stop();  // as the destructor; idempotent

 private:
  void run();

  Mutex<Rank::queue> mutex_;
  std::condition_variable_any changed_;
  std::deque<Task> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace agentfs
