// SPDX-License-Identifier: MIT
// Chat completions in OpenAI's form: the request, and what may come back.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "backends/http/call_builder.h"
#include "backends/http/dialect.h"
#include "backends/http/failure.h"
#include "backends/http/secret.h"
#include "backends/model_driver.h"

namespace agentfs::http {

std::string request_body(const ChatRequest& request, const Dialect& dialect = {});

// The sentence of an error answer's body: error.message and its relatives where the body is JSON,
// else the text itself; at most 300 bytes, with the key redacted.
std::string server_message(std::string_view body, const Secret& secret);

// Does the body of an error answer say that the account's quota is spent, which no wait mends?
bool is_out_of_quota(std::string_view body);

// Puts a reply together from the chunks of a stream, or takes a whole one; tells the progress.
// Tolerates what servers are known to do otherwise than OpenAI. One object an attempt. Threads:
// one at a time. Sentences have no object: the caller puts the model's name before them.
class ReplyBuilder {
 public:
  ReplyBuilder(ModelDriver::Progress progress, Secret secret)
      : progress_(std::move(progress)), secret_(std::move(secret)) {}

  // The data of one event. EBADMSG where it is no chunk; what the server says went wrong where it
  // holds an error.
  Attempt<Nothing> take_chunk(std::string_view data);
  // The body of an answer that is no stream.
  Attempt<Nothing> take_whole(std::string_view body);

  // Nothing that belongs to the reply can be missing: its finish_reason or "[DONE]" was there.
  bool complete() const { return saw_choice_ && (saw_done_ || !reply_.finish_reason.empty()); }
  bool saw_done() const { return saw_done_; }  // nothing may follow

  // The reply; usage is estimated from the sizes where the server gave none.
  Attempt<ChatReply> finish(std::size_t request_bytes);

 private:
  Attempt<json::Value> parsed(std::string_view text, std::string_view what) const;
  void take_common(const json::Value& chunk);
  void take_usage(const json::Value& usage);
  void take_message(const json::Value& message);
  void take_content(const json::Value& content);
  void add_text(std::string_view text);

  ModelDriver::Progress progress_;
  Secret secret_;
  ChatReply reply_;
  CallBuilder calls_;
  bool saw_choice_ = false;
  bool saw_done_ = false;
  bool saw_usage_ = false;
};

}  // namespace agentfs::http
