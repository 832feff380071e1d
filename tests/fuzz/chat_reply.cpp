// SPDX-License-Identifier: MIT
// Whatever a server sends, the reply is whole or an error with a sentence.
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "backends/http/chat_codec.h"
#include "backends/http/sse_parser.h"
#include "base/text.h"

using agentfs::http::ReplyBuilder;

namespace {

void check(const agentfs::http::Attempt<agentfs::ChatReply>& reply) {
  if (!reply) {
    if (reply.error().error.code == 0 || reply.error().error.message.empty()) std::abort();
    return;
  }
  for (const agentfs::ToolCall& call : reply->calls) {
    if (call.id.empty() || call.name.empty() || call.arguments.empty()) std::abort();
  }
  if (reply->finish_reason.empty() || reply->usage.input < 0 || reply->usage.output < 0 ||
      reply->usage.cached > reply->usage.input) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const agentfs::http::Secret secret("sk-fuzz");

  ReplyBuilder whole([](const agentfs::ModelProgress&) {}, secret);
  if (whole.take_whole(bytes)) check(whole.finish(size));

  std::string told;
  ReplyBuilder streamed([&](const agentfs::ModelProgress& piece) { told += piece.text; }, secret);
  agentfs::http::SseParser parser;
  const auto fed = parser.feed(bytes, [&](const agentfs::http::SseEvent& event) {
    return streamed.take_chunk(event.data).has_value();
  });
  if (fed && *fed && streamed.complete()) check(streamed.finish(size));
  if (agentfs::http::server_message(bytes, secret).contains("sk-fuzz")) std::abort();
  return 0;
}
