// SPDX-License-Identifier: MIT
#include "fs/fuse/workers.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/waiting.h"

namespace agentfs::fuse {
namespace {

constexpr std::chrono::milliseconds kTick(1);
constexpr int kTicksToDoze = 5;
constexpr int kTicksToWiden = 3;
constexpr int kTicksToNarrow = 20;
constexpr int kTicksToGrow = 2;
constexpr std::size_t kMostWorkers = 256;  // each has a buffer of a megabyte, used as far as asked
// What a program does between two calls, mostly.
constexpr std::chrono::microseconds kAwakeAfterwards(10);

constexpr bool is_odd(std::uint64_t step) { return step % 2 != 0; }

std::uint32_t opcode_of(const fuse_buf& request) {
  return static_cast<const fuse_in_header*>(request.mem)->opcode;
}

// Nothing is quicker than to wake another for what comes meanwhile.
bool takes_its_time(std::uint32_t opcode) {
  return opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR || opcode == FUSE_FALLOCATE ||
         opcode == FUSE_COPY_FILE_RANGE;
}

// Signals that end the daemon are others' to take.
class SignalsHeldBack {
 public:
  SignalsHeldBack() {
    sigset_t held{};
    ::sigemptyset(&held);
    for (const int each : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::sigaddset(&held, each);
    ::pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;
  ~SignalsHeldBack() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// `timeout` in milliseconds, negative: none.
bool is_waiting(fuse_session& session, int timeout = 0) {
  pollfd next{.fd = ::fuse_session_fd(&session), .events = POLLIN, .revents = 0};
  return ::poll(&next, 1, timeout) != 0;
}

// Who stays awake asks by reading then: one call less for each request. Of the host kernel's own
// channel alone: on another, answers would find no room.
void never_wait_in_reads(int channel) {
  struct stat attributes{};
  if (::fstat(channel, &attributes) != 0 || !S_ISCHR(attributes.st_mode)) return;
  ::fcntl(channel, F_SETFL, ::fcntl(channel, F_GETFL) | O_NONBLOCK);
}

// To wait for requests by: each wakes one of those that do so, as it would one that reads. None
// where descriptors run out.
UniqueFd bell_of(fuse_session& session) {
  UniqueFd bell(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event wanted{.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {}};
  const int channel = ::fuse_session_fd(&session);
  return ::epoll_ctl(bell.get(), EPOLL_CTL_ADD, channel, &wanted) == 0 ? std::move(bell)
                                                                       : UniqueFd();
}

}  // namespace

Workers::Workers(fuse_session& session, const WorkersOptions& options)
    : session_(session), options_(options), workers_(options.threads) {}

int Workers::run() {
  struct sigaction action{};
  action.sa_handler = [](int) {};  // without SA_RESTART: its arrival ends a wait for requests
  ::sigaction(SIGUSR1, &action, nullptr);
  if (options_.busy_poll) never_wait_in_reads(::fuse_session_fd(&session_));
  for (Worker& worker : workers_) start(worker);
  supervise();
  for (std::thread& thread : threads_) thread.join();
  const Lock lock(mutex_);
  return error_;
}

void Workers::start(Worker& worker) {
  const SignalsHeldBack held;
  threads_.emplace_back([this, &worker] { serve(worker); });
}

void Workers::stop() {
  const Lock lock(mutex_);
  stopping_ = true;
  supervisor_.notify_one();
}

void Workers::serve(Worker& self) {
  ::pthread_setname_np(::pthread_self(), "fuse_worker");
  fuse_buf buffer{};
  if (options_.busy_poll) self.bell = bell_of(session_);
  set_about_to_wait([this, &self] {
    const std::uint64_t step = self.step;
    if (has_begun_ && is_odd(step)) take_watch(self, step);
  });
  while (follow(self)) lead(self, buffer);
  set_about_to_wait({});
  std::free(buffer.mem);
}

bool Workers::follow(Worker& self) {
  Lock lock(mutex_);
  ++following_;
  while (watching_ >= seats_ && !over_) followers_.wait(lock);
  --following_;
  if (over_) return false;
  ++watching_;
  self.thread = ::pthread_self();
  self.is_watching = true;
  return true;
}

void Workers::lead(Worker& self, fuse_buf& buffer) {
  for (Clock::time_point awake_until; ::fuse_session_exited(&session_) == 0;) {
    const int got = ::fuse_session_receive_buf(&session_, &buffer);
    if (got == -EAGAIN) await_next(self.bell, awake_until);
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got <= 0) return end(self, got);
    const std::uint64_t answer = ++self.step;
    if (dozes_) rouse();
    const std::uint32_t opcode = opcode_of(buffer);
    if (has_begun_ && takes_its_time(opcode)) take_watch(self, answer);
    ::fuse_session_process_buf(&session_, &buffer);
    if (opcode == FUSE_INIT) {  // larger ones may come now than there was room for
      std::free(std::exchange(buffer.mem, nullptr));
      has_begun_ = true;
    }
    auto mine = answer;
    if (!self.step.compare_exchange_strong(mine, answer + 1)) return;
    if (is_crowded_ && is_one_too_many(self)) return;
    if (options_.busy_poll) awake_until = Clock::now() + kAwakeAfterwards;
  }
  end(self, 0);
}

// Whoever else wants the CPU gets it first.
void Workers::await_next(const UniqueFd& bell, Clock::time_point awake_until) const {
  if (Clock::now() < awake_until) {
    ::sched_yield();
  } else if (bell) {
    epoll_event next{};
    ::epoll_wait(bell.get(), &next, 1, -1);
  } else {
    is_waiting(session_, -1);
  }
}

bool Workers::take_watch(Worker& worker, std::uint64_t answer) {
  if (!worker.step.compare_exchange_strong(answer, answer + 1)) return false;
  const Lock lock(mutex_);
  worker.is_watching = false;
  --watching_;
  followers_.notify_one();
  return true;
}

bool Workers::is_one_too_many(Worker& self) {
  const Lock lock(mutex_);
  is_crowded_ = watching_ > seats_ + 1;
  if (watching_ <= seats_) return false;
  self.is_watching = false;
  --watching_;
  return true;
}

void Workers::rouse() {
  const Lock lock(mutex_);
  dozes_ = false;
  supervisor_.notify_one();
}

void Workers::supervise() {
  Lock lock(mutex_);
  for (int quiet = 0; !over_ || watching_ > 0;) {
    if (dozes_ && !stopping_ && !over_) {
      supervisor_.wait(lock);
      quiet = 0;
      continue;
    }
    supervisor_.wait_for(lock, kTick);
    lock.unlock();
    quiet = look_round() ? 0 : quiet + 1;
    if (quiet == kTicksToDoze) {
      dozes_ = true;
      if (look_round()) dozes_ = false;  // begun just now, perhaps without a look at us
      quiet = 0;
    }
    lock.lock();
  }
}

// A step that is seen odd at two ticks is one answer that takes its time. Until the session has
// begun there is one watcher: requests have the size that libfuse makes room for only from then on.
bool Workers::look_round() {
  bool has_moved = false;
  bool is_busy = false;
  for (Worker& worker : workers_) {
    const std::uint64_t step = worker.step;
    is_busy = is_busy || is_odd(step);
    const bool is_stuck = step == worker.seen && is_odd(step);
    has_moved = has_moved || step != std::exchange(worker.seen, step);
    if (is_stuck && has_begun_) has_moved = take_watch(worker, step) || has_moved;
    const Lock lock(mutex_);
    // One that is not at an answer now will not be again.
    const bool is_to_end = (stopping_ || over_) && worker.is_watching && !is_odd(step);
    if (is_to_end) ::pthread_kill(worker.thread, SIGUSR1);
  }
  count_seats(is_busy && is_waiting(session_));
  grow();
  return has_moved;
}

void Workers::count_seats(bool waiting) {
  crowded_ticks_ = waiting ? crowded_ticks_ + 1 : 0;
  calm_ticks_ = waiting ? 0 : calm_ticks_ + 1;
  const Lock lock(mutex_);
  const bool may_widen = has_begun_ && seats_ < options_.most_watchers;
  if (may_widen && crowded_ticks_ >= kTicksToWiden) {
    ++seats_;
    crowded_ticks_ = 0;
    followers_.notify_one();
  } else if (calm_ticks_ >= kTicksToNarrow && seats_ > 1) {
    seats_ = 1;
    is_crowded_ = watching_ > 1;
  }
}

// Before the supervisor dozes: what is asked when nobody watches would wake nobody. Who is called
// to a watch, and waits for a CPU yet, would not have one sooner with more threads.
void Workers::grow() {
  {
    const Lock lock(mutex_);
    const bool is_starved = has_begun_ && watching_ == 0 && following_ == 0 && !over_ && !stopping_;
    starved_ticks_ = is_starved ? starved_ticks_ + 1 : 0;
  }
  if (starved_ticks_ < kTicksToGrow || workers_.size() >= kMostWorkers) return;
  starved_ticks_ = 0;
  try {
    start(workers_.emplace_back());
  } catch (const std::system_error&) {  // no more threads: as many answer as do
    workers_.pop_back();
  }
}

void Workers::end(Worker& self, int error) {
  ::fuse_session_exit(&session_);
  const Lock lock(mutex_);
  self.is_watching = false;
  --watching_;
  if (!over_) error_ = error;
  over_ = true;
  followers_.notify_all();
  supervisor_.notify_one();
}

}  // namespace agentfs::fuse
