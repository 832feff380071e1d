// SPDX-License-Identifier: MIT
// Chat completions over HTTP: any server that speaks as OpenAI's does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>

#include "backends/model_driver.h"
#include "base/clock.h"

namespace agentfs {

struct HttpOptions {
  std::function<double()> random;      // from 0 to 1, for the jitter; unset: a generator's
  std::size_t body_limit = 64u << 20;  // of an answer, in bytes
};

// All requests of the daemon on one thread, over one curl multi handle. A request is tried up to
// max_attempts times, waits between attempts without a thread, and is cancelled at once. Progress
// of kind `retry` says that what was streamed before is void, and why. The key is read at the start
// of each request and is in no sentence.
//
// Threads: start() and wake() from any; progress and answers come on the driver's thread. The clock
// outlives the driver. The destructor ends what is under way with EINTR and joins.
class HttpModelDriver final : public ModelDriver {
 public:
  explicit HttpModelDriver(const Clock& clock, HttpOptions options = {});
  ~HttpModelDriver() override;
  HttpModelDriver(const HttpModelDriver&) = delete;
  HttpModelDriver& operator=(const HttpModelDriver&) = delete;

  void start(ChatRequest request, Progress progress, Completion<ChatReply> done) override;
  // Makes the driver look at the clock again: for a clock that was moved by hand.
  void wake();

 private:
  class Inbox;
  class Worker;

  std::shared_ptr<Inbox> inbox_;  // shared with the cancel callbacks, which may outlive the driver
  std::thread thread_;
};

}  // namespace agentfs
