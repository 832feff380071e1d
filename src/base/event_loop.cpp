// SPDX-License-Identifier: MIT
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/clock.h"

namespace agentfs {

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_.get();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  thread_ = std::thread([this] { run(); });
}

EventLoop::~EventLoop() { stop(); }

void EventLoop::stop() {
  {
    Lock lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable() && !on_thread()) thread_.join();
}

void EventLoop::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::post(Task task) {
  {
    Lock lock(mutex_);
    // Nobody will run it: dropped at once, so that who waits for what it holds is not kept waiting.
    if (stopping_) return;
    posted_.push_back(std::move(task));
  }
  wake();
}

EventLoop::TimerId EventLoop::after(std::chrono::nanoseconds delay, Task task) {
  const std::int64_t due = SystemClock{}.steady() + std::max<std::int64_t>(delay.count(), 0);
  TimerId id = 0;
  {
    Lock lock(mutex_);
    id = next_timer_++;
    timers_.emplace(Deadline{due, id}, std::move(task));
    deadlines_.emplace(id, due);
  }
  wake();
  return id;
}

void EventLoop::cancel(TimerId timer) {
  Task dropped;  // destroyed after the lock: its captures may be anything
  Lock lock(mutex_);
  const auto found = deadlines_.find(timer);
  if (found == deadlines_.end()) return;
  const auto place = timers_.find({found->second, timer});
  dropped = std::move(place->second);
  timers_.erase(place);
  deadlines_.erase(found);
  lock.unlock();
  dropped = nullptr;
  lock.lock();
}

void EventLoop::watch(int fd, std::uint32_t events, Ready ready) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const int operation = watched_.contains(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  watched_[fd] = std::make_shared<Ready>(std::move(ready));
  ::epoll_ctl(epoll_.get(), operation, fd, &event);
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

int EventLoop::run_due() {
  for (;;) {
    std::vector<Task> work;
    {
      Lock lock(mutex_);
      if (stopping_) return 0;
      work.swap(posted_);
      const std::int64_t now = SystemClock{}.steady();
      while (!timers_.empty() && timers_.begin()->first.first <= now) {
        deadlines_.erase(timers_.begin()->first.second);
        work.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
      if (work.empty()) {
        if (timers_.empty()) return -1;
        const std::int64_t left = timers_.begin()->first.first - now;
        return static_cast<int>(std::clamp<std::int64_t>(left / 1'000'000 + 1, 1, 60'000));
      }
    }
    for (Task& task : work) task();
  }
}

void EventLoop::run() {
  for (;;) {
    const int timeout = run_due();
    {
      Lock lock(mutex_);
      if (stopping_) return;
    }
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == wake_.get()) {
        std::uint64_t drained = 0;
        [[maybe_unused]] const auto got = ::read(wake_.get(), &drained, sizeof drained);
        continue;
      }
      const auto found = watched_.find(event.data.fd);
      if (found == watched_.end()) continue;  // unwatched by an earlier callback of this round
      const std::shared_ptr<Ready> ready = found->second;
      (*ready)(event.events);
    }
  }
}

}  // namespace agentfs
