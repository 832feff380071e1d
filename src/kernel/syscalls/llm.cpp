// SPDX-License-Identifier: MIT
// llm.chat: one question to a model, outside any agent.
#include <cmath>

#include "base/log.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/kinds.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/values.h"

namespace agentfs::llm {
namespace {

// JSON with messages, or plain text as the one message of a user.
Result<ChatRequest> parse_request(const std::string& text) {
  TRY(values::check_message(text));
  ChatRequest request;
  if (!text::trim(text).starts_with('{')) {
    json::Value message;
    message.set("role", "user").set("content", text::trim(text));
    request.messages.push_back(std::move(message));
    return request;
  }
  const Result<json::Value> value = json::parse(text);
  if (!value) return fail(EINVAL, "llm.chat: {}", value.error().message);
  const json::Array* messages = (*value)["messages"].array();
  if (messages == nullptr || messages->empty()) {
    return fail(EINVAL,
                "llm.chat: the request has no messages; {{\"messages\":[{{\"role\":"
                "\"user\",\"content\":\"…\"}}]}} would do");
  }
  request.messages = *messages;
  if (const json::Array* tools = (*value)["tools"].array()) request.tools = *tools;
  return request;
}

std::string reply_text(const ChatReply& reply) {
  std::string text = reply.text;
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  for (const ToolCall& call : reply.calls) {
    json::Value one;
    one.set("id", call.id).set("name", call.name).set("arguments", call.arguments);
    text += json::dump(one) + "\n";
  }
  return text;
}

void charge(Kernel& kernel, const Caller& caller, const std::string& model,
            const ChatReply& reply) {
  const Result<ModelSettings> settings = kernel.configuration().model(reply.answered_by);
  json::Value data;
  data.set("pid", caller.process.value).set("model", model);
  data.set("tokens_in", reply.usage.input).set("tokens_out", reply.usage.output);
  data.set("tokens_cached", reply.usage.cached).set("retries", reply.attempts - 1);
  data.set("micro_usd", settings ? price(*settings, reply.usage) : 0);
  const auto charged = kernel.commit(caller, std::string(kind::kModelCharge), std::move(data));
  if (!charged) log::warning("llm.chat: not charged: {}", charged.error().message);
}

}  // namespace

void run(Kernel& kernel, const Caller& caller, const Chat& args,
         const Completion<std::string>& done) {
  Result<ChatRequest> request = parse_request(args.request);
  if (!request) {
    done.complete(std::unexpected(request.error()));
    return;
  }
  Completion<ChatReply> answer(
      [&kernel, caller, model = args.model, done](Result<ChatReply> reply) {
        if (!reply) {
          done.complete(std::unexpected(std::move(reply).error()));
          return;
        }
        charge(kernel, caller, model, *reply);
        done.complete(reply_text(*reply));
      });
  done.on_cancel([answer] { answer.cancel(); });
  kernel.ask_model(args.model, std::move(*request), nullptr, answer);
}

}  // namespace agentfs::llm
