// SPDX-License-Identifier: MIT
// The event thread: timers, descriptors that become ready, and work posted by other threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"

namespace agentfs {

// One thread over epoll(7). All callbacks run on that thread, with no lock held, and must not
// block. post, after and cancel may be called from any thread, also from a callback.
class EventLoop {
 public:
  using Task = std::move_only_function<void()>;
  using TimerId = std::uint64_t;                     // 0 names no timer
  using Ready = std::function<void(std::uint32_t)>;  // epoll events

  EventLoop();
  ~EventLoop();  // stops and joins; tasks and timers that have not run are dropped
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void post(Task task);
  TimerId after(std::chrono::nanoseconds delay, Task task);
  void cancel(TimerId timer);  // it may be running already
  // Watches a descriptor until unwatch(); the caller owns it. Call on the event thread only.
  void watch(int fd, std::uint32_t events, Ready ready);
  void unwatch(int fd);
  bool on_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
  void stop();

 private:
  using Deadline = std::pair<std::int64_t, TimerId>;
  void run();
  int run_due();  // milliseconds until the next timer, -1 without one
  void wake();

  UniqueFd epoll_;
  UniqueFd wake_;
  Mutex<Rank::queue> mutex_;
  std::vector<Task> posted_ GUARDED_BY(mutex_);
  std::map<Deadline, Task> timers_ GUARDED_BY(mutex_);
  std::unordered_map<TimerId, std::int64_t> deadlines_ GUARDED_BY(mutex_);
  TimerId next_timer_ GUARDED_BY(mutex_) = 1;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unordered_map<int, std::shared_ptr<Ready>> watched_;  // event thread only
  std::thread thread_;
};

}  // namespace agentfs
