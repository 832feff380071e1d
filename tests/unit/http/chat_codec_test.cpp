// SPDX-License-Identifier: MIT
#include "backends/http/chat_codec.h"

#include <vector>

#include "base/json.h"
#include "catch.h"

using namespace agentfs;
using agentfs::http::Attempt;
using agentfs::http::Failure;
using agentfs::http::ReplyBuilder;
using agentfs::http::Secret;
using Catch::Matchers::has;

namespace {

const Secret kNoSecret;

std::string delta(std::string_view members) {
  return fmt::format(R"({{"choices":[{{"index":0,"delta":{{{}}}}}]}})", members);
}
std::string calls(std::string_view list) {
  return delta(fmt::format(R"("tool_calls":[{}])", list));
}
const std::string kEnd = R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";

Attempt<ChatReply> reply_of(const std::vector<std::string>& chunks) {
  ReplyBuilder builder(nullptr, kNoSecret);
  for (const std::string& chunk : chunks) {
    auto taken = builder.take_chunk(chunk);
    if (!taken) return std::unexpected(taken.error());
  }
  if (!builder.complete()) return http::passing_failure(EPIPE, "not complete");
  return builder.finish(40);
}

Attempt<ChatReply> whole(std::string_view body) {
  ReplyBuilder builder(nullptr, kNoSecret);
  auto taken = builder.take_whole(body);
  if (!taken) return std::unexpected(taken.error());
  return builder.finish(40);
}

void check_calls(const std::vector<std::string>& chunks, const std::vector<ToolCall>& expected) {
  const auto reply = reply_of(chunks);
  REQUIRE(reply);
  REQUIRE(reply->calls.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(reply->calls[i].id == expected[i].id);
    CHECK(reply->calls[i].name == expected[i].name);
    CHECK(reply->calls[i].arguments == expected[i].arguments);
  }
}

}  // namespace

TEST_CASE("chat request: what is set is sent, what is not set is not") {
  ChatRequest request;
  request.settings.model = "m";
  request.messages = {json::Object{{"role", "user"}, {"content", "hi"}}};
  CHECK(http::request_body(request) ==
        R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,)"
        R"("stream_options":{"include_usage":true}})");
  request.settings.stream = false;
  request.settings.model = "";
  request.settings.max_output_tokens = 100;
  request.settings.temperature = 0.5;
  request.tools = {json::Object{{"type", "function"}}};
  CHECK(http::request_body(request) ==
        R"({"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function"}],)"
        R"("stream":false,"max_tokens":100,"temperature":0.5})");
}

TEST_CASE("chat stream: text, usage, model and finish_reason") {
  std::vector<std::string> told;
  ReplyBuilder builder([&](const ModelProgress& p) { told.push_back(p.text); }, kNoSecret);
  for (const std::string& chunk :
       {std::string(R"({"model":"m-1","choices":[{"delta":{"role":"assistant","content":""}}]})"),
        delta(R"("content":"Hel")"), delta(R"("content":null)"), delta(R"("content":"lo")"), kEnd,
        std::string(R"({"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,)"
                    R"("prompt_tokens_details":{"cached_tokens":8}}})"),
        std::string("[DONE]"), std::string("after the end: not looked at")}) {
    REQUIRE(builder.take_chunk(chunk));
  }
  CHECK(builder.saw_done());
  const auto reply = builder.finish(1000);
  REQUIRE(reply);
  CHECK(reply->text == "Hello");
  CHECK(told == std::vector<std::string>{"Hel", "lo"});
  CHECK(reply->model == "m-1");
  CHECK(reply->finish_reason == "stop");
  CHECK(reply->usage.input == 12);
  CHECK(reply->usage.output == 3);
  CHECK(reply->usage.cached == 8);
  CHECK_FALSE(reply->usage.estimated);
}

TEST_CASE("chat stream: usage in each chunk counts once, the last one") {
  const auto reply = reply_of({R"({"choices":[{"delta":{"content":"a"}}],)"
                               R"("usage":{"prompt_tokens":9,"completion_tokens":1}})",
                               R"({"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}],)"
                               R"("usage":{"prompt_tokens":9,"completion_tokens":2}})",
                               R"({"choices":[],"usage":null})"});
  REQUIRE(reply);
  CHECK(reply->usage.input == 9);
  CHECK(reply->usage.output == 2);
}

TEST_CASE("chat stream: usage that is absent is estimated and flagged") {
  const auto reply = reply_of({delta(R"("content":"12345678")"), kEnd});
  REQUIRE(reply);
  CHECK(reply->usage.estimated);
  CHECK(reply->usage.input == 10);
  CHECK(reply->usage.output == 2);
}

TEST_CASE("chat stream: complete by finish_reason or [DONE], else not") {
  CHECK(reply_of({delta(R"("content":"a")"), kEnd}));
  CHECK(reply_of({delta(R"("content":"a")"), "[DONE]"}));
  const auto cut = reply_of({delta(R"("content":"a")")});
  REQUIRE_FALSE(cut);
  CHECK(cut.error().error.code == EPIPE);
}

TEST_CASE("chat stream: parallel calls whose pieces are interleaved") {
  check_calls(
      {calls(R"({"index":0,"id":"a","type":"function","function":{"name":"read","arguments":""}})"),
       calls(R"({"index":1,"id":"b","type":"function","function":{"name":"list","arguments":""}})"),
       calls(R"({"index":0,"function":{"arguments":"{\"p\":"}})"),
       calls(R"({"index":1,"function":{"arguments":"{}"}})"),
       calls(R"({"index":0,"function":{"arguments":"1}"}})"), kEnd},
      {{"a", "read", R"({"p":1})"}, {"b", "list", "{}"}});
}

TEST_CASE("chat stream: calls of servers that leave out the index") {
  check_calls({calls(R"({"id":"a","function":{"name":"read","arguments":"{\"x\""}})"),
               calls(R"({"function":{"arguments":":1}"}})"),
               calls(R"({"id":"b","function":{"name":"list","arguments":"{}"}})"), kEnd},
              {{"a", "read", R"({"x":1})"}, {"b", "list", "{}"}});
}

TEST_CASE("chat stream: calls of servers that repeat id and name with each piece") {
  check_calls({calls(R"({"index":0,"id":"a","function":{"name":"read","arguments":"{\"x\""}})"),
               calls(R"({"index":0,"id":"a","function":{"name":"read","arguments":":1}"}})"), kEnd},
              {{"a", "read", R"({"x":1})"}});
  check_calls({calls(R"({"id":"a","function":{"name":"read","arguments":"{\"x\""}})"),
               calls(R"({"id":"a","function":{"name":"read","arguments":":1}"}})"), kEnd},
              {{"a", "read", R"({"x":1})"}});
}

TEST_CASE("chat stream: whole calls in one chunk, all of index 0") {
  check_calls({calls(R"({"index":0,"id":"a","function":{"name":"read","arguments":"{\"x\":1}"}},)"
                     R"({"index":0,"id":"b","function":{"name":"read","arguments":"{\"x\":2}"}})"),
               kEnd},
              {{"a", "read", R"({"x":1})"}, {"b", "read", R"({"x":2})"}});
}

TEST_CASE("chat stream: calls without the function wrapper, without ids, with object arguments") {
  check_calls({calls(R"({"index":0,"name":"read","arguments":{"x":1}})"),
               calls(R"({"index":1,"function":{"name":"list","arguments":null}})"), kEnd},
              {{"call_1", "read", R"({"x":1})"}, {"call_2", "list", "{}"}});
  check_calls({delta(R"("function_call":{"name":"read","arguments":"{"})"),
               delta(R"("function_call":{"arguments":"}"})"), kEnd},
              {{"call_1", "read", "{}"}});
}

TEST_CASE("chat stream: ids are made unique") {
  check_calls({calls(R"({"index":0,"id":"a","function":{"name":"x","arguments":"{}"}})"),
               calls(R"({"index":1,"id":"a","function":{"name":"y","arguments":"{}"}})"), kEnd},
              {{"a", "x", "{}"}, {"a_2", "y", "{}"}});
}

TEST_CASE("chat stream: arguments that are no JSON are passed on as they are") {
  check_calls({calls(R"({"index":0,"id":"a","function":{"name":"x","arguments":"{oops"}})"), kEnd},
              {{"a", "x", "{oops"}});
}

TEST_CASE("chat stream: a call without a name is EBADMSG") {
  const auto reply = reply_of({calls(R"({"index":0,"function":{"arguments":"{}"}})"), kEnd});
  REQUIRE_FALSE(reply);
  CHECK(reply.error().error.code == EBADMSG);
  CHECK_FALSE(reply.error().may_pass);
}

TEST_CASE("chat stream: a begun call is told once, by its name") {
  std::vector<std::string> told;
  ReplyBuilder builder(
      [&](const ModelProgress& p) {
        if (p.kind == ModelProgress::Kind::call) told.push_back(p.text);
      },
      kNoSecret);
  REQUIRE(builder.take_chunk(calls(R"({"index":0,"id":"a","function":{"name":"read"}})")));
  REQUIRE(builder.take_chunk(calls(R"({"index":0,"function":{"arguments":"{}"}})")));
  REQUIRE(builder.take_chunk(calls(R"({"index":1,"id":"b","function":{"name":"list"}})")));
  CHECK(told == std::vector<std::string>{"read", "list"});
}

TEST_CASE("chat stream: content as parts, refusals, other choices") {
  const auto reply = reply_of({delta(R"("content":[{"type":"text","text":"a"},{"text":"b"}])"),
                               delta(R"("content":null,"refusal":"c")"),
                               R"({"choices":[{"index":1,"delta":{"content":"other"}}]})", kEnd});
  REQUIRE(reply);
  CHECK(reply->text == "abc");
}

TEST_CASE("chat stream: an error within the stream, told in the server's words") {
  const auto passing = reply_of({delta(R"("content":"a")"),
                                 R"({"error":{"message":"The engine is overloaded","code":503}})"});
  REQUIRE_FALSE(passing);
  CHECK(passing.error().error.code == EREMOTEIO);
  CHECK(passing.error().may_pass);
  CHECK_THAT(passing.error().error.message, has("The engine is overloaded"));

  const auto kind = reply_of({R"({"error":{"message":"x","type":"server_error"}})"});
  CHECK(kind.error().may_pass);
  const auto last = reply_of({R"({"error":{"message":"bad prompt","type":"invalid_request"}})"});
  CHECK_FALSE(last.error().may_pass);
  const auto plain = reply_of({R"({"error":"just words"})"});
  CHECK_THAT(plain.error().error.message, has("just words"));
  const auto key = reply_of({R"({"error":{"message":"no","code":"401"}})"});
  CHECK(key.error().error.code == EACCES);
}

TEST_CASE("chat stream: a data line that is no JSON object is EBADMSG and quoted") {
  for (const char* line : {"{oops", "7", "[1]", "\"text\"", "{\"choices\":"}) {
    const auto reply = reply_of({line});
    REQUIRE_FALSE(reply);
    CHECK(reply.error().error.code == EBADMSG);
    CHECK_FALSE(reply.error().may_pass);
  }
  const auto reply = reply_of({"{oops"});
  CHECK_THAT(reply.error().error.message, has("{oops"));
}

TEST_CASE("chat stream: [DONE] without any choices is EBADMSG") {
  ReplyBuilder builder(nullptr, kNoSecret);
  REQUIRE(builder.take_chunk("[DONE]"));
  CHECK_FALSE(builder.complete());
  const auto reply = builder.finish(0);
  REQUIRE_FALSE(reply);
  CHECK(reply.error().error.code == EBADMSG);
}

TEST_CASE("chat reply that is no stream") {
  const auto reply = whole(
      R"({"model":"m","choices":[{"message":{"content":null,"tool_calls":[)"
      R"({"id":"a","function":{"name":"read","arguments":"{}"}}]}}],"usage":{"prompt_tokens":4}})");
  REQUIRE(reply);
  CHECK(reply->text.empty());
  REQUIRE(reply->calls.size() == 1);
  CHECK(reply->calls[0].name == "read");
  CHECK(reply->finish_reason == "tool_calls");
  CHECK(reply->usage.input == 4);
  CHECK(reply->model == "m");

  CHECK(whole("{oops").error().error.code == EBADMSG);
  CHECK(whole("{}").error().error.code == EBADMSG);
  CHECK(whole(R"({"choices":[]})").error().error.code == EBADMSG);
  CHECK(whole(R"({"error":{"message":"no"}})").error().error.code == EREMOTEIO);
}

TEST_CASE("usage that cannot be is brought into range") {
  const auto reply = whole(R"({"choices":[{"message":{"content":"a"}}],"usage":)"
                           R"({"prompt_tokens":-5,"completion_tokens":1e300,)"
                           R"("prompt_tokens_details":{"cached_tokens":9}}})");
  REQUIRE(reply);
  CHECK(reply->usage.input == 0);
  CHECK(reply->usage.cached == 0);
  CHECK(reply->usage.output >= 0);
}

TEST_CASE("the sentence of an error body") {
  CHECK(http::server_message(R"({"error":{"message":" no such model "}})", kNoSecret) ==
        "no such model");
  CHECK(http::server_message(R"({"error":"words"})", kNoSecret) == "words");
  CHECK(http::server_message(R"({"message":"m"})", kNoSecret) == "m");
  CHECK(http::server_message(R"({"detail":"d"})", kNoSecret) == "d");
  CHECK(http::server_message(R"([{"error":{"message":"in a list"}}])", kNoSecret) == "in a list");
  CHECK(http::server_message("plain\ntext\n", kNoSecret) == "plain text");
  CHECK(http::server_message("", kNoSecret).empty());
  CHECK(http::server_message(std::string(1000, 'x'), kNoSecret).size() < 310);
  CHECK(http::server_message(R"({"error":"key sk-12345 bad"})", Secret("sk-12345")) ==
        "key [redacted] bad");
}
