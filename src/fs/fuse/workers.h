// SPDX-License-Identifier: MIT
// The threads that answer the requests of a session.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "fs/fuse/libfuse.h"

namespace agentfs::fuse {

struct WorkersOptions {
  unsigned threads = 4;
  unsigned most_watchers = 1;  // where requests come faster than fewer answer them
  bool busy_poll = false;      // who has answered stays awake for a moment
};

// Leaders and followers (Schmidt and others, 2000): one thread watches the channel, and answers
// what it has read itself, so that no other is woken for a client who asks one thing after the
// other. It leaves its watch to another before an answer that takes its time and before it waits
// (base/waiting.h), and loses it when it has been at one for a tick of the supervisor, which is the
// thread in run(): whatever that answer waits for can come by the channel. Where requests are
// waiting at tick after tick, more watch. Where nobody is left to watch, since all are at answers
// that wait for what comes by the channel, it starts another thread.
class Workers {
 public:
  // The session is mounted, and outlives this.
  Workers(fuse_session& session, const WorkersOptions& options);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Until the channel has gone or stop(): 0, or a negated errno of the channel. Once.
  int run();
  // After fuse_session_exit(). Threads: all; also before run().
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Worker {
    pthread_t thread{};
    UniqueFd bell{};  // its own
    // Odd while it is at an answer. Who makes it even has the say over its watch.
    std::atomic<std::uint64_t> step = 0;
    std::uint64_t seen = 0;    // the supervisor's, at its last tick
    bool is_watching = false;  // under the mutex
  };

  void serve(Worker& self);
  bool follow(Worker& self);  // until there is a watch to keep; false at the end
  void lead(Worker& self, fuse_buf& buffer);
  void await_next(const UniqueFd& bell, Clock::time_point awake_until) const;
  // Leaves the worker's watch to another if it is still at this answer.
  bool take_watch(Worker& worker, std::uint64_t answer);
  bool is_one_too_many(Worker& self);
  void rouse();
  void supervise();
  bool look_round();  // false where nothing has happened since the last time
  void count_seats(bool waiting);
  void start(Worker& worker);
  void grow();
  void end(Worker& self, int error);

  fuse_session& session_;
  const WorkersOptions options_;
  std::deque<Worker> workers_;
  std::vector<std::thread> threads_;      // of run()'s thread, as the number of workers is
  std::atomic<bool> has_begun_ = false;   // INIT has been answered
  std::atomic<bool> dozes_ = true;        // the supervisor, until something is asked
  std::atomic<bool> is_crowded_ = false;  // more watch than there are seats
  int crowded_ticks_ = 0;                 // of the supervisor: with requests waiting, one by one
  int calm_ticks_ = 0;                    // and without
  int starved_ticks_ = 0;                 // with nobody to watch, nor to be called to it

  Mutex<Rank::queue> mutex_;
  std::condition_variable_any followers_;
  std::condition_variable_any supervisor_;
  unsigned seats_ GUARDED_BY(mutex_) = 1;
  unsigned watching_ GUARDED_BY(mutex_) = 0;
  unsigned following_ GUARDED_BY(mutex_) = 0;  // or called to a watch, and not at it yet
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool over_ GUARDED_BY(mutex_) = false;
  int error_ GUARDED_BY(mutex_) = 0;
};

}  // namespace agentfs::fuse
