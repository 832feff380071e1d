// SPDX-License-Identifier: MIT
// The event thread, the workers, and answers that come later.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>

#include "base/completion.h"
#include "base/cpus.h"
#include "base/event_loop.h"
#include "base/worker_pool.h"
#include "catch.h"

namespace agentfs {
namespace {

using namespace std::chrono_literals;

template <class T>
T value_of(std::future<T>& future) {
  REQUIRE(future.wait_for(20s) == std::future_status::ready);
  return future.get();
}

TEST_CASE("the event thread runs what is posted, in order, on itself") {
  EventLoop loop;
  std::promise<bool> done;
  auto future = done.get_future();
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) loop.post([&, i] { order.push_back(i); });
  loop.post([&] { done.set_value(loop.on_thread()); });
  CHECK(value_of(future));
  CHECK(order.size() == 100);
  CHECK(std::ranges::is_sorted(order));
  CHECK_FALSE(loop.on_thread());
}

TEST_CASE("timers come in the order of their times, cancelled ones not at all") {
  EventLoop loop;
  std::promise<void> done;
  auto future = done.get_future();
  std::string order;
  loop.post([&] {
    const auto never = loop.after(1ms, [&] { order += 'x'; });
    loop.after(30ms, [&] {
      order += 'b';
      done.set_value();
    });
    loop.after(5ms, [&] { order += 'a'; });
    loop.cancel(never);
  });
  value_of(future);
  CHECK(order == "ab");
}

TEST_CASE("a watched descriptor tells when it can be read, until it is unwatched") {
  EventLoop loop;
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  std::promise<char> got;
  auto future = got.get_future();
  loop.post([&] {
    loop.watch(reading.get(), EPOLLIN, [&](std::uint32_t) {
      char byte = 0;
      const bool is_read = ::read(reading.get(), &byte, 1) == 1;
      loop.unwatch(reading.get());
      if (is_read) got.set_value(byte);
    });
  });
  REQUIRE(::write(writing.get(), "!", 1) == 1);
  CHECK(value_of(future) == '!');
}

TEST_CASE("what is posted to an event thread that has stopped is dropped at once") {
  EventLoop loop;
  loop.stop();
  auto held = std::make_shared<int>(7);
  const std::weak_ptr<int> seen = held;
  loop.post([held = std::move(held)] {});
  CHECK(seen.expired());
}

TEST_CASE("workers run as many tasks at once as there are workers") {
  WorkerPool pool(3);
  std::atomic<int> inside = 0;
  std::promise<void> all;
  auto future = all.get_future();
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  for (int i = 0; i < 3; ++i) {
    pool.post([&, gone] {
      if (++inside == 3) all.set_value();
      gone.wait();
    });
  }
  value_of(future);
  go.set_value();
  pool.stop();
  CHECK(inside == 3);
}

TEST_CASE(
    "a thread is away from a CPU for as long as that is asked for, where it may run on others") {
  std::thread([] {
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    const auto is_as_before = [&] {
      cpu_set_t now;
      REQUIRE(::sched_getaffinity(0, sizeof now, &now) == 0);
      return CPU_EQUAL(&before, &now) != 0;
    };
    const int here = ::sched_getcpu();
    if (CPU_COUNT(&before) > 1) {
      CHECK_FALSE(own_cpu());
      const AwayFrom others(here);
      CHECK(::sched_getcpu() != here);
      CHECK_FALSE(is_as_before());
    }
    CHECK(is_as_before());
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(here, &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(own_cpu() == here);
    const AwayFrom nowhere(here);
    CHECK(own_cpu() == here);
  }).join();
}

TEST_CASE("a completion answers once, whoever races for it") {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> answers = 0;
    const Completion<int> done([&](Result<int>) { ++answers; });
    {
      WorkerPool pool(2);
      std::promise<void> both;
      std::atomic<int> ran = 0;
      auto future = both.get_future();
      const auto finish = [&](int value) {
        done.complete(value);
        if (++ran == 2) both.set_value();
      };
      pool.post([&] { finish(1); });
      pool.post([&] { finish(2); });
      value_of(future);
    }
    CHECK(answers == 1);
    CHECK(done.answered());
  }
}

TEST_CASE("a cancel before anybody listens is remembered, one after the answer is ignored") {
  int cancelled = 0;
  const Completion<int> early([](Result<int>) {});
  early.cancel();
  early.on_cancel([&] { ++cancelled; });
  CHECK(cancelled == 1);
  const Completion<int> late([](Result<int>) {});
  late.on_cancel([&] { ++cancelled; });
  late.complete(1);
  late.cancel();
  CHECK(cancelled == 1);
}

}  // namespace
}  // namespace agentfs
