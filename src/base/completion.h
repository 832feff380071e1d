// SPDX-License-Identifier: MIT
// The answer to a request that may be given later, from another thread, or never wanted any more.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"

namespace agentfs {

// A shared handle on one pending answer. Threads: all. The first of complete() and cancel()'s
// outcome wins; later ones are ignored, so exactly one answer is given. The receiver is called on
// the completing thread with no lock held.
//
// Who serves the request calls on_cancel() to learn that nobody waits any more (interrupt, close,
// kill); it then stops the work and completes with EINTR, or with what it has. cancel() before
// on_cancel() is remembered: the callback then runs at once.
template <class T>
class Completion {
 public:
  using Receiver = std::move_only_function<void(Result<T>)>;

  Completion() = default;
  explicit Completion(Receiver receiver) : state_(std::make_shared<State>()) {
    state_->receiver = std::move(receiver);
  }

  void complete(Result<T> result) const {
    Receiver receiver;
    std::move_only_function<void()> dropped;
    {
      Lock lock(state_->mutex);
      receiver = std::exchange(state_->receiver, nullptr);
      dropped = std::exchange(state_->cancelled, nullptr);
    }
    if (receiver) receiver(std::move(result));
  }

  void on_cancel(std::move_only_function<void()> callback) const {
    {
      Lock lock(state_->mutex);
      if (!state_->receiver) return;
      if (!state_->asked) {
        state_->cancelled = std::move(callback);
        return;
      }
    }
    callback();
  }

  void cancel() const {
    std::move_only_function<void()> callback;
    {
      Lock lock(state_->mutex);
      state_->asked = true;
      callback = std::exchange(state_->cancelled, nullptr);
    }
    if (callback) callback();
  }

  bool answered() const {
    Lock lock(state_->mutex);
    return !state_->receiver;
  }
  explicit operator bool() const { return state_ != nullptr; }

 private:
  struct State {
    Mutex<Rank::queue> mutex;
    Receiver receiver GUARDED_BY(mutex);
    std::move_only_function<void()> cancelled GUARDED_BY(mutex);
    bool asked GUARDED_BY(mutex) = false;
  };
  std::shared_ptr<State> state_;
};

}  // namespace agentfs
