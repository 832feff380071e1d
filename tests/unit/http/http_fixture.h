// SPDX-License-Identifier: MIT
#pragma once

#include "backends/http/curl_driver.h"
#include "base/clock.h"
#include "support/chat_call.h"
#include "support/chat_stream.h"
#include "support/fault_server.h"

namespace agentfs::testing {

inline ChatRequest request_to(const std::string& base_url) {
  ChatRequest request;
  request.settings.name = "test";
  request.settings.model = "test-model";
  request.settings.base_url = base_url;
  request.settings.backoff_ms = 1;
  request.messages = {json::Object{{"role", "user"}, {"content", "hello"}}};
  return request;
}

// A server with its responses, and a driver whose jitter is none.
struct Pair {
  explicit Pair(std::vector<Response> responses) : server(std::move(responses)) {}
  explicit Pair(FaultServer::Handler handler) : server(std::move(handler)) {}
  ChatRequest request() const { return request_to(server.base_url()); }
  Result<ChatReply> ask() { return ask(request()); }
  Result<ChatReply> ask(ChatRequest request) { return ChatCall(driver, std::move(request)).wait(); }

  FaultServer server;
  SystemClock clock;
  HttpModelDriver driver{clock, {.random = [] { return 0.0; }, .body_limit = 1u << 20}};
};

}  // namespace agentfs::testing
