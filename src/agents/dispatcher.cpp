// SPDX-License-Identifier: MIT
#include "agents/dispatcher.h"

#include <utility>
#include <vector>

namespace agentfs::agents {

// Held by a task while it may touch what outlives the dispatcher's owner; false once it stops.
class Dispatcher::Activity {
 public:
  explicit Activity(Dispatcher& dispatcher) : dispatcher_(dispatcher) {
    Lock lock(dispatcher_.mutex_);
    entered_ = !dispatcher_.stopping_;
    if (entered_) ++dispatcher_.active_;
  }
  ~Activity() {
    if (!entered_) return;
    Lock lock(dispatcher_.mutex_);
    if (--dispatcher_.active_ == 0) dispatcher_.quiet_.notify_all();
  }
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;
  explicit operator bool() const { return entered_; }

 private:
  Dispatcher& dispatcher_;
  bool entered_ = false;
};

Dispatcher::Dispatcher(EventLoop& loop, WorkerPool& pool, Act act)
    : loop_(loop), pool_(pool), act_(std::move(act)) {}

Dispatcher::Worker& Dispatcher::worker(ProcessId pid) {
  std::unique_ptr<Worker>& found = workers_[pid];
  if (!found) found = std::make_unique<Worker>();
  return *found;
}

void Dispatcher::wake(ProcessId pid) {
  {
    Lock lock(mutex_);
    if (stopping_) return;
    Worker& one = worker(pid);
    one.again = one.scheduled;
    if (std::exchange(one.scheduled, true)) return;
  }
  pool_.post([weak = weak_from_this(), pid] {
    if (const auto self = weak.lock()) self->work(pid);
  });
}

void Dispatcher::wake_later(ProcessId pid, std::chrono::nanoseconds delay) {
  loop_.after(delay, [weak = weak_from_this(), pid] {
    if (const auto self = weak.lock()) self->wake(pid);
  });
}

void Dispatcher::work(ProcessId pid) {
  const Activity activity(*this);
  if (!activity) return;
  const auto stopping = [&] {
    Lock lock(mutex_);
    return stopping_;
  };
  do {
    while (!stopping() && act_(pid)) {
    }
  } while (!rest(pid));
}

bool Dispatcher::rest(ProcessId pid) {
  Lock lock(mutex_);
  Worker& one = worker(pid);
  if (std::exchange(one.again, false) && !stopping_) return false;
  one.scheduled = false;
  if (!one.model && one.calls.empty() && one.arrivals.empty()) workers_.erase(pid);
  return true;
}

void Dispatcher::cancel_others(ProcessId pid, std::uint64_t spared_run) {
  std::vector<Completion<std::string>> calls;
  std::optional<ModelFlight> model;
  {
    Lock lock(mutex_);
    const auto found = workers_.find(pid);
    if (found == workers_.end()) return;
    Worker& one = *found->second;
    if (one.model && (spared_run == 0 || one.model->run != spared_run)) {
      model = std::exchange(one.model, std::nullopt);
    }
    for (auto& [number, call] : one.calls) {
      if (call.cancelled || (spared_run != 0 && call.run == spared_run)) continue;
      call.cancelled = true;
      calls.push_back(call.completion);
    }
  }
  if (model) model->completion.cancel();
  for (const Completion<std::string>& call : calls) call.cancel();
}

void Dispatcher::stop() {
  std::vector<Completion<std::string>> calls;
  std::vector<Completion<ChatReply>> models;
  {
    Lock lock(mutex_);
    stopping_ = true;
    for (const auto& [pid, one] : workers_) {
      if (one->model) models.push_back(one->model->completion);
      for (const auto& [number, call] : one->calls) calls.push_back(call.completion);
    }
  }
  for (const auto& model : models) model.cancel();
  for (const auto& call : calls) call.cancel();
  Lock lock(mutex_);
  while (active_ > 0) quiet_.wait(lock);
}

std::size_t Dispatcher::busy() const {
  Lock lock(mutex_);
  return workers_.size();
}

void Dispatcher::while_running(const std::function<void()>& callback) {
  if (const Activity activity(*this); activity) callback();
}

UnderWay Dispatcher::under_way(ProcessId pid, std::uint64_t run) const {
  Lock lock(mutex_);
  UnderWay result;
  const auto found = workers_.find(pid);
  if (found == workers_.end()) return result;
  const Worker& one = *found->second;
  result.model = one.model && one.model->run == run;
  for (const auto& [number, call] : one.calls) result.calls.insert(number);
  return result;
}

const Arrival* Dispatcher::arrival(ProcessId pid) {
  Lock lock(mutex_);
  Worker& one = worker(pid);
  // Stable while others append: the front of a deque.
  return one.arrivals.empty() ? nullptr : &one.arrivals.front();
}

void Dispatcher::drop_arrival(ProcessId pid) {
  std::deque<Arrival> dropped;  // destroyed outside the lock
  Lock lock(mutex_);
  Worker& one = worker(pid);
  if (const auto* call = std::get_if<CallArrival>(&one.arrivals.front())) {
    one.calls.erase(call->number);
  } else if (one.model &&
             one.model->ticket == std::get<ModelArrival>(one.arrivals.front()).ticket) {
    one.model.reset();
  }
  dropped.push_back(std::move(one.arrivals.front()));
  one.arrivals.pop_front();
}

void Dispatcher::arrive(ProcessId pid, Arrival arrival) {
  {
    Lock lock(mutex_);
    if (stopping_) return;
    worker(pid).arrivals.push_back(std::move(arrival));
  }
  wake(pid);
}

Completion<ChatReply> Dispatcher::expect_reply(ProcessId pid, std::uint64_t run) {
  std::optional<ModelFlight> before;
  Completion<ChatReply> completion;
  {
    Lock lock(mutex_);
    const std::uint64_t ticket = next_ticket_++;
    completion =
        Completion<ChatReply>([weak = weak_from_this(), pid, run, ticket](Result<ChatReply> reply) {
          if (const auto self = weak.lock()) {
            self->arrive(pid, ModelArrival{run, ticket, std::move(reply)});
          }
        });
    before = std::exchange(worker(pid).model, ModelFlight{run, ticket, completion});
  }
  if (before) before->completion.cancel();
  return completion;
}

void Dispatcher::start_call(ProcessId pid, const Call& call, Start start) {
  {
    Lock lock(mutex_);
    Completion<std::string> completion([weak = weak_from_this(), pid, run = call.run,
                                        number = call.number](Result<std::string> result) {
      if (const auto self = weak.lock()) {
        self->arrive(pid, CallArrival{run, number, std::move(result)});
      }
    });
    worker(pid).calls[call.number] = {call.run, std::move(completion), false};
  }
  pool_.post([weak = weak_from_this(), pid, number = call.number, start = std::move(start)] {
    if (const auto self = weak.lock()) self->run_call(pid, number, start);
  });
}

void Dispatcher::run_call(ProcessId pid, std::uint64_t number, const Start& start) {
  const Activity activity(*this);
  if (!activity) return;
  CallFlight flight;
  {
    Lock lock(mutex_);
    Worker& one = worker(pid);
    const auto found = one.calls.find(number);
    if (found == one.calls.end()) return;
    flight = found->second;
  }
  if (flight.cancelled) {
    flight.completion.complete(fail(EINTR, "cancelled before it began; nothing was done"));
  } else {
    start(flight.completion);
  }
}

int& Dispatcher::empty_answers(ProcessId pid) {
  Lock lock(mutex_);
  return worker(pid).empty_answers;
}

}  // namespace agentfs::agents
