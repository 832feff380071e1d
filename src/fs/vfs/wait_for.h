// SPDX-License-Identifier: MIT
// A blocking call of something that answers later. Never on the event thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>

#include "base/completion.h"
#include "base/mutex.h"

namespace agentfs::vfs {

template <class T>
Result<T> wait_for(const std::function<void(Completion<T>)>& start) {
  struct Answer {
    Mutex<Rank::queue> mutex;
    std::condition_variable_any given;
    std::optional<Result<T>> result GUARDED_BY(mutex);
  };
  const auto answer = std::make_shared<Answer>();
  start(Completion<T>([answer](Result<T> result) {
    Lock lock(answer->mutex);
    answer->result = std::move(result);
    answer->given.notify_all();
  }));
  Lock lock(answer->mutex);
  while (!answer->result) answer->given.wait(lock);
  return *std::move(answer->result);
}

}  // namespace agentfs::vfs
