// SPDX-License-Identifier: MIT
// The driver's thread: all requests under way, their attempts and waits.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "backends/http/curl_driver.h"
#include "backends/http/inbox.h"
#include "backends/http/transfer.h"

namespace agentfs {

// Made and used by the driver's thread alone; the inbox, the clock and the multi handle outlive it.
class HttpModelDriver::Worker {
 public:
  Worker(CURLM* multi, Inbox& inbox, const Clock& clock, HttpOptions options);
  void run();  // until the inbox says stop; what is under way then ends with EINTR

 private:
  struct Job {
    std::uint64_t id = 0;
    ChatRequest request;
    http::Plan plan;
    Completion<ChatReply> done;
    std::int64_t deadline = 0;  // of the steady clock, as all moments here
    std::int64_t attempt = 0;   // the one under way or the last one; 1 is the first
    std::int64_t resumes = 0;   // when the next attempt is made, while there is no transfer
    std::unique_ptr<http::Transfer> transfer;
  };
  using Jobs = std::map<std::uint64_t, std::unique_ptr<Job>>;

  void begin(Inbox::Order order);
  void attempt(Job& job);
  void collect();  // the transfers that curl has ended
  void look_at_clock();
  void expire(Job& job);
  void settle(Job& job, http::Attempt<ChatReply> outcome);
  bool ask_in_other_form(Job& job, const http::Failure& failure);  // false: there is none
  bool retry(Job& job, const http::Failure& failure);              // false: no further attempt
  void give_up(Job& job, http::Failure failure);
  void end(Job& job, Result<ChatReply> answer);  // destroys the job
  void drop_transfer(Job& job);
  std::int64_t next_moment(const Job& job) const;
  int poll_timeout() const;  // milliseconds

  CURLM* multi_;
  Inbox& inbox_;
  const Clock& clock_;
  HttpOptions options_;
  Jobs jobs_;
  // By base_url and model: the form of request that has had an answer.
  std::map<std::pair<std::string, std::string>, http::Dialect> dialects_;
};

}  // namespace agentfs
