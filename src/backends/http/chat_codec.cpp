// SPDX-License-Identifier: MIT
#include "backends/http/chat_codec.h"

#include <algorithm>
#include <array>

#include "backends/http/retry.h"
#include "base/json.h"
#include "base/text.h"

namespace agentfs::http {
namespace {

constexpr std::size_t kLongestMessage = 300;
constexpr std::string_view kOutOfQuota = "insufficient_quota";

// The member that says in words what is wrong, of the many shapes there are.
std::string_view error_text(const json::Value& answer) {
  const json::Value& error = answer["error"];
  const std::array candidates = {error["message"].text(), error.text(), answer["message"].text(),
                                 answer["detail"].text()};
  const auto found = std::ranges::find_if(candidates, [](auto text) { return !text.empty(); });
  return found != candidates.end() ? *found : std::string_view();
}

long error_status(const json::Value& error) {
  for (const std::string_view name : {"code", "status", "status_code"}) {
    const json::Value& code = error[name];
    const std::int64_t status = text::number<std::int64_t>(code.text()).value_or(code.number());
    if (status >= 100 && status < 1000) return static_cast<long>(status);
  }
  return 0;
}

// Some servers put the object into an array.
const json::Value& first_of(const json::Value& answer) {
  return answer.array() && !answer.array()->empty() ? answer.array()->front() : answer;
}

bool says_out_of_quota(const json::Value& error) {
  return error["code"].text() == kOutOfQuota || error["type"].text() == kOutOfQuota;
}

bool error_may_pass(const json::Value& error) {
  if (says_out_of_quota(error)) return false;
  if (const long status = error_status(error)) return status_may_pass(status);
  const std::string kind =
      text::lower(error["type"].text()) + " " + text::lower(error["code"].text());
  const std::array passing = {"server_error", "overloaded", "rate_limit", "unavailable", "timeout"};
  return std::ranges::any_of(passing, [&](std::string_view word) { return kind.contains(word); });
}

std::unexpected<Failure> told_by_server(const json::Value& answer, const Secret& secret) {
  const json::Value& error = answer["error"];
  const long status = error_status(error);
  const int code = status == 401 || status == 403 ? EACCES : EREMOTEIO;
  return std::unexpected(Failure{{code, fmt::format("the server broke off with an error: {}",
                                                    server_message(json::dump(answer), secret))},
                                 error_may_pass(error)});
}

std::int64_t tokens_of(std::size_t bytes) { return static_cast<std::int64_t>((bytes + 3) / 4); }

}  // namespace

std::string request_body(const ChatRequest& request, const Dialect& dialect) {
  const ModelSettings& settings = request.settings;
  json::Value body = json::Object{};
  if (!settings.model.empty()) body.set("model", settings.model);
  body.set("messages", request.messages);
  if (!request.tools.empty()) body.set("tools", request.tools);
  body.set("stream", settings.stream);
  if (settings.stream && dialect.stream_options) {
    body.set("stream_options", json::Object{{"include_usage", true}});
  }
  if (settings.max_output_tokens > 0) {
    body.set(dialect.completion_tokens ? "max_completion_tokens" : "max_tokens",
             settings.max_output_tokens);
  }
  if (settings.temperature >= 0) body.set("temperature", settings.temperature);
  return json::dump(body);
}

std::string server_message(std::string_view body, const Secret& secret) {
  std::string message(text::trim(body));
  if (const auto answer = json::parse(message)) {
    if (const std::string_view told = error_text(first_of(*answer)); !told.empty()) {
      message = std::string(text::trim(told));
    }
  }
  message = secret.redacted(text::to_utf8(message));
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  if (message.size() <= kLongestMessage) return message;
  return std::string(text::prefix(message, kLongestMessage)) + "…";
}

bool is_out_of_quota(std::string_view body) {
  const auto answer = json::parse(text::trim(body));
  return answer && says_out_of_quota(first_of(*answer)["error"]);
}

Attempt<json::Value> ReplyBuilder::parsed(std::string_view text, std::string_view what) const {
  auto value = json::parse(text);
  if (value && value->object() != nullptr) return *std::move(value);
  return final_failure(EBADMSG, "{} ({}); an object with \"choices\" would do", what,
                       text::shown(secret_.redacted(text::trim(text))));
}

Attempt<Nothing> ReplyBuilder::take_chunk(std::string_view data) {
  data = text::trim(data);
  if (data.empty() || saw_done_) return Nothing{};
  if (data == "[DONE]") {
    saw_done_ = true;
    return Nothing{};
  }
  const json::Value chunk = TRY(parsed(data, "a data line of the stream is no JSON object"));
  if (!chunk["error"].is_null()) return told_by_server(chunk, secret_);
  take_common(chunk);
  const json::Array* choices = chunk["choices"].array();
  if (choices == nullptr) return Nothing{};
  for (const json::Value& choice : *choices) {
    if (choice["index"].number() != 0) continue;
    saw_choice_ = true;
    // A server that streams in name only sends one chunk with the whole message.
    take_message(choice["delta"].is_null() ? choice["message"] : choice["delta"]);
    if (const auto reason = choice["finish_reason"].text(); !reason.empty()) {
      reply_.finish_reason = reason;
    }
  }
  return Nothing{};
}

Attempt<Nothing> ReplyBuilder::take_whole(std::string_view body) {
  const json::Value answer = TRY(parsed(body, "the answer is no JSON object"));
  if (!answer["error"].is_null()) return told_by_server(answer, secret_);
  const json::Array* choices = answer["choices"].array();
  if (choices == nullptr || choices->empty()) {
    return final_failure(EBADMSG, "the answer has no choices ({}); choices[0].message would do",
                         text::shown(secret_.redacted(body)));
  }
  take_common(answer);
  saw_choice_ = true;
  saw_done_ = true;
  take_message(choices->front()["message"]);
  reply_.finish_reason = choices->front()["finish_reason"].text();
  return Nothing{};
}

void ReplyBuilder::take_common(const json::Value& chunk) {
  if (const auto model = chunk["model"].text(); !model.empty()) reply_.model = model;
  take_usage(chunk["usage"]);
}

void ReplyBuilder::take_usage(const json::Value& usage) {
  if (usage["prompt_tokens"].is_null() && usage["completion_tokens"].is_null()) return;
  saw_usage_ = true;
  const std::int64_t most = std::int64_t{1} << 40;  // what is beyond is no count of tokens
  const auto count = [&](const json::Value& value) {
    return std::clamp<std::int64_t>(value.number(), 0, most);
  };
  reply_.usage.input = count(usage["prompt_tokens"]);
  reply_.usage.output = count(usage["completion_tokens"]);
  reply_.usage.cached =
      std::min(reply_.usage.input, std::max(count(usage["prompt_tokens_details"]["cached_tokens"]),
                                            count(usage["prompt_cache_hit_tokens"])));
}

void ReplyBuilder::take_message(const json::Value& message) {
  take_content(message["content"]);
  add_text(message["refusal"].text());
  const auto tell = [this](const std::string& name) {
    if (!name.empty() && progress_) progress_({ModelProgress::Kind::call, name});
  };
  if (const json::Array* pieces = message["tool_calls"].array()) {
    for (const json::Value& piece : *pieces) tell(calls_.take(piece));
  }
  const json::Value& function = message["function_call"];
  if (function.object() != nullptr) tell(calls_.take_function_call(function));
}

void ReplyBuilder::take_content(const json::Value& content) {
  add_text(content.text());
  const json::Array* parts = content.array();
  if (parts == nullptr) return;
  for (const json::Value& part : *parts) add_text(part["text"].text());
}

void ReplyBuilder::add_text(std::string_view text) {
  if (text.empty()) return;
  reply_.text += text;
  if (progress_) progress_({ModelProgress::Kind::text, std::string(text)});
}

Attempt<ChatReply> ReplyBuilder::finish(std::size_t request_bytes) {
  if (!saw_choice_) {
    return final_failure(EBADMSG,
                         "the stream ended without any choices; choices[0].delta would do");
  }
  reply_.calls = TRY(calls_.finish());
  if (reply_.finish_reason.empty()) {
    reply_.finish_reason = reply_.calls.empty() ? "stop" : "tool_calls";
  }
  if (!saw_usage_) {
    std::size_t bytes = reply_.text.size();
    for (const ToolCall& call : reply_.calls) bytes += call.name.size() + call.arguments.size();
    reply_.usage = {tokens_of(request_bytes), tokens_of(bytes), 0, true};
  }
  return std::move(reply_);
}

}  // namespace agentfs::http
