// SPDX-License-Identifier: MIT
// One attempt at a chat request: a curl handle and what arrives on it.
#pragma once

#include <curl/curl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backends/http/chat_codec.h"
#include "backends/http/endpoint.h"
#include "backends/http/failure.h"
#include "backends/http/secret.h"
#include "backends/http/sse_parser.h"
#include "backends/model_driver.h"
#include "base/clock.h"

namespace agentfs::http {

// What all attempts of a request have in common.
struct Plan {
  ModelSettings settings;
  Endpoint endpoint;
  Secret secret;
  Dialect dialect;
  std::string body;
  ModelDriver::Progress progress;
};

// Owned by the driver; the plan and the clock outlive it. Threads: the driver's thread only. Its
// handle must be out of every multi handle before it is destroyed.
class Transfer {
 public:
  Transfer(const Plan& plan, const Clock& clock, std::size_t body_limit);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* handle() const { return handle_.get(); }

  // The moment (of the steady clock) at which silence has lasted too long; nothing while the
  // connection is made, which curl itself limits.
  std::optional<std::int64_t> silence_ends() const;

  // How the attempt ended, after curl has ended it.
  Attempt<ChatReply> outcome(CURLcode code);
  // How it ended by silence.
  Attempt<ChatReply> outcome_of_silence();

 private:
  enum class Kind { unknown, stream, whole, page };
  struct Cleanup {
    void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
  };
  using Handle = std::unique_ptr<CURL, Cleanup>;
  using Headers = std::unique_ptr<curl_slist, Cleanup>;

  static std::size_t on_write(char* bytes, std::size_t one, std::size_t count, void* self);
  static std::size_t on_header(char* bytes, std::size_t one, std::size_t count, void* self);
  static int on_connected(void* self, char*, char*, int, int);
  void set_options();
  void set_headers();
  bool take(std::string_view bytes);  // false: enough was seen, or too much
  bool take_stream(std::string_view bytes);
  void find_kind();
  long status() const;
  Attempt<ChatReply> refused() const;  // by the status of the answer
  Attempt<ChatReply> broken(CURLcode code) const;
  std::string status_line() const;

  const Plan& plan_;
  const Clock& clock_;
  std::size_t body_limit_;
  Handle handle_;
  Headers headers_;
  std::array<char, CURL_ERROR_SIZE> curl_error_{};
  SseParser parser_;
  ReplyBuilder builder_;
  Kind kind_ = Kind::unknown;
  std::string body_;  // of what is no stream
  std::size_t received_ = 0;
  std::int64_t last_byte_ = -1;     // below 0: not yet connected
  std::optional<Failure> failure_;  // found while receiving
};

}  // namespace agentfs::http
