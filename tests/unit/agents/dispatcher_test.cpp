// SPDX-License-Identifier: MIT
#include "agents/dispatcher.h"

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <map>
#include <thread>

#include "catch.h"
#include "support/eventually.h"

namespace agentfs::agents {
namespace {

using namespace std::chrono_literals;
using test::eventually;
constexpr auto kDeadline = 20s;

Call call_of(std::uint64_t number) {
  Call call;
  call.number = number;
  call.run = 1;
  return call;
}

TEST_CASE("one process is worked for by one thread at a time, and no wake is lost") {
  EventLoop loop;
  WorkerPool pool(4);
  constexpr int kProcesses = 8;
  std::array<std::atomic<int>, kProcesses> inside{};
  std::array<std::atomic<int>, kProcesses> seen{};
  std::array<std::atomic<int>, kProcesses> wanted{};
  std::atomic<bool> overlapped = false;
  auto dispatcher = std::make_shared<Dispatcher>(loop, pool, [&](ProcessId pid) {
    const auto i = pid.value;
    if (inside[i].fetch_add(1) != 0) overlapped = true;
    seen[i] = wanted[i].load();
    inside[i].fetch_sub(1);
    return false;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; n < 2000; ++n) {
        const std::uint64_t i = static_cast<std::uint64_t>(n % kProcesses);
        ++wanted[i];
        dispatcher->wake(ProcessId{i});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(eventually([&] { return dispatcher->busy() == 0; }));
  CHECK_FALSE(overlapped);
  for (int i = 0; i < kProcesses; ++i) {
    const auto index = static_cast<std::size_t>(i);
    CHECK(seen[index] == wanted[index]);
  }
  dispatcher->stop();
}

TEST_CASE("an outcome stays until it was dealt with") {
  EventLoop loop;
  WorkerPool pool(2);
  std::atomic<int> looks = 0;
  std::promise<std::string> told;
  std::shared_ptr<Dispatcher> dispatcher;
  std::atomic<bool> begun = false;
  dispatcher = std::make_shared<Dispatcher>(loop, pool, [&](ProcessId pid) {
    if (!begun.exchange(true)) {
      dispatcher->start_call(pid, call_of(3), [](const Completion<std::string>& done) {
        done.complete(std::string("result"));
      });
      return false;
    }
    const Arrival* arrival = dispatcher->arrival(pid);
    if (arrival == nullptr) return false;
    if (++looks < 3) return true;
    CHECK(dispatcher->under_way(pid, 1).calls.contains(3));
    std::string result = std::get<CallArrival>(*arrival).result.value();
    dispatcher->drop_arrival(pid);
    told.set_value(std::move(result));
    return true;
  });
  dispatcher->wake(ProcessId{1});
  auto future = told.get_future();
  REQUIRE(future.wait_for(kDeadline) == std::future_status::ready);
  CHECK(future.get() == "result");
  CHECK(eventually([&] { return dispatcher->busy() == 0; }));
  dispatcher->stop();
}

TEST_CASE("cancelling takes the model's request at once, and calls that have not begun") {
  EventLoop loop;
  WorkerPool pool(1);
  std::atomic<bool> begun = false;
  std::atomic<bool> started_call = false;
  std::atomic<bool> model_cancelled = false;
  std::promise<int> code;
  std::latch ready(1);
  std::shared_ptr<Dispatcher> dispatcher;
  dispatcher = std::make_shared<Dispatcher>(loop, pool, [&](ProcessId pid) {
    if (!begun.exchange(true)) {
      dispatcher->expect_reply(pid, 1).on_cancel([&] { model_cancelled = true; });
      dispatcher->start_call(pid, call_of(1),
                             [&](const Completion<std::string>&) { started_call = true; });
      ready.count_down();
      // The pool's only thread: the call begins after this task, and after the interrupt.
      eventually([&] { return model_cancelled.load(); });
      return false;
    }
    const Arrival* arrival = dispatcher->arrival(pid);
    if (arrival == nullptr) return false;
    code.set_value(std::get<CallArrival>(*arrival).result.error().code);
    dispatcher->drop_arrival(pid);
    return true;
  });
  dispatcher->wake(ProcessId{1});
  ready.wait();
  CHECK(dispatcher->under_way(ProcessId{1}, 1).model);
  CHECK_FALSE(dispatcher->under_way(ProcessId{1}, 2).model);
  dispatcher->cancel_others(ProcessId{1}, 1);
  CHECK(dispatcher->under_way(ProcessId{1}, 1).model);
  dispatcher->cancel_others(ProcessId{1}, 0);
  CHECK_FALSE(dispatcher->under_way(ProcessId{1}, 1).model);
  auto future = code.get_future();
  REQUIRE(future.wait_for(kDeadline) == std::future_status::ready);
  CHECK(future.get() == EINTR);
  CHECK_FALSE(started_call);
  CHECK(eventually([&] { return dispatcher->busy() == 0; }));
  dispatcher->stop();
}

TEST_CASE("stop cancels what is under way and waits; late answers find nobody") {
  EventLoop loop;
  WorkerPool pool(2);
  Completion<ChatReply> late;
  std::atomic<int> acts = 0;
  std::latch ready(1);
  std::shared_ptr<Dispatcher> dispatcher;
  dispatcher = std::make_shared<Dispatcher>(loop, pool, [&](ProcessId pid) {
    if (acts++ == 0) {
      late = dispatcher->expect_reply(pid, 1);
      ready.count_down();
    }
    return false;
  });
  dispatcher->wake(ProcessId{1});
  ready.wait();
  bool cancelled = false;
  late.on_cancel([&] { cancelled = true; });
  dispatcher->stop();
  CHECK(cancelled);
  const int before = acts;
  late.complete(ChatReply{});
  dispatcher->wake(ProcessId{1});
  dispatcher.reset();
  pool.stop();
  CHECK(acts == before);
}

}  // namespace
}  // namespace agentfs::agents
