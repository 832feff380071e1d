// SPDX-License-Identifier: MIT
// What other threads want of the driver's thread.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "backends/http/curl_driver.h"
#include "base/mutex.h"

namespace agentfs {

// Threads: all. After close() nothing is taken, and the multi handle is not touched any more.
class HttpModelDriver::Inbox {
 public:
  struct Order {
    std::uint64_t id = 0;
    ChatRequest request;
    Progress progress;
    Completion<ChatReply> done;
  };
  struct Taken {
    std::vector<Order> started;
    std::vector<std::uint64_t> cancelled;
    bool stop = false;
  };

  explicit Inbox(CURLM* multi) : multi_(multi) {}

  std::uint64_t add(Order order) {
    Lock lock(mutex_);
    order.id = ++last_id_;
    taken_.started.push_back(std::move(order));
    notify();
    return last_id_;
  }
  void cancel(std::uint64_t id) {
    Lock lock(mutex_);
    taken_.cancelled.push_back(id);
    notify();
  }
  void stop() {
    Lock lock(mutex_);
    taken_.stop = true;
    notify();
  }
  void wake() {
    Lock lock(mutex_);
    notify();
  }
  Taken take() {
    Lock lock(mutex_);
    return std::exchange(taken_, {});
  }
  void close() {
    Lock lock(mutex_);
    multi_ = nullptr;
  }

 private:
  void notify() REQUIRES(mutex_) {
    if (multi_ != nullptr) ::curl_multi_wakeup(multi_);
  }

  Mutex<Rank::queue> mutex_;
  CURLM* multi_ GUARDED_BY(mutex_);
  Taken taken_ GUARDED_BY(mutex_);
  std::uint64_t last_id_ GUARDED_BY(mutex_) = 0;
};

}  // namespace agentfs
