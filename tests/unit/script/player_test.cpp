// SPDX-License-Identifier: MIT
#include "backends/script/player.h"

#include "catch.h"

using namespace agentfs;
using agentfs::script::play;
using agentfs::script::Scenario;
using Catch::Matchers::has;

namespace {

json::Value message(std::string_view role, std::string_view content) {
  return json::Object{{"role", role}, {"content", content}};
}

ChatRequest asking(json::Array messages) {
  ChatRequest request;
  request.messages = std::move(messages);
  return request;
}

Scenario scenario_of(std::string_view text) {
  auto scenario = Scenario::parse(text);
  if (!scenario) FAIL(scenario.error().message);
  return *std::move(scenario);
}

const char* const kThree =
    R"({"steps":[{"text":"one","calls":[{"name":"read","arguments":{"path":"a"}},)"
    R"({"name":"list"}]},{"text":"two","calls":[{"name":"exec"}]},{"text":"three"}],)"
    R"("after":"over"})";

}  // namespace

TEST_CASE("script: the step follows from the conversation") {
  const Scenario scenario = scenario_of(kThree);
  json::Array messages = {message("system", "s"), message("user", "go")};
  const ChatReply one = play(scenario, asking(messages)).reply;
  CHECK(one.text == "[script] one");
  REQUIRE(one.calls.size() == 2);
  CHECK(one.calls[0].id == "call-1-1");
  CHECK(one.calls[0].name == "read");
  CHECK(one.calls[0].arguments == R"({"path":"a"})");
  CHECK(one.calls[1].id == "call-1-2");
  CHECK(one.calls[1].arguments == "{}");
  CHECK(one.finish_reason == "tool_calls");
  CHECK(one.model == "script");

  messages.push_back(message("assistant", one.text));
  messages.push_back(message("tool", "ok"));
  messages.push_back(message("tool", "ok"));
  const ChatReply two = play(scenario, asking(messages)).reply;
  CHECK(two.text == "[script] two");
  CHECK(two.calls[0].id == "call-2-1");

  messages.push_back(message("assistant", two.text));
  messages.push_back(message("tool", "ok"));
  const ChatReply three = play(scenario, asking(messages)).reply;
  CHECK(three.text == "[script] three");
  CHECK(three.calls.empty());
  CHECK(three.finish_reason == "stop");

  messages.push_back(message("assistant", three.text));
  CHECK(play(scenario, asking(messages)).reply.text == "[script] over");
  messages.push_back(message("user", "again"));
  const ChatReply again = play(scenario, asking(messages)).reply;
  CHECK(again.text == "[script] one");
  CHECK(again.calls[0].id == "call-4-1");  // no id comes twice in a conversation
}

TEST_CASE("script: the same request is answered the same") {
  const Scenario scenario = scenario_of(kThree);
  const ChatRequest request = asking({message("user", "go"), message("assistant", "x")});
  const ChatReply a = play(scenario, request).reply;
  const ChatReply b = play(scenario, request).reply;
  CHECK(a.text == b.text);
  CHECK(a.calls[0].id == b.calls[0].id);
  CHECK(a.usage.input == b.usage.input);
  CHECK(a.usage.output == b.usage.output);
}

TEST_CASE("script: a step of which a call was interrupted is played again") {
  const Scenario scenario = scenario_of(kThree);
  json::Array messages = {message("user", "go"), message("assistant", "one"),
                          message("tool", "interrupted: the daemon ended"), message("tool", "ok")};
  CHECK(play(scenario, asking(messages)).reply.text == "[script] one");
  messages.push_back(message("assistant", "one"));
  messages.push_back(message("tool", "interrupted: again"));
  messages.push_back(message("tool", "interrupted: again"));
  CHECK(play(scenario, asking(messages)).reply.text == "[script] one");
  messages.push_back(message("assistant", "one"));
  messages.push_back(message("tool", "was interrupted: no"));
  CHECK(play(scenario, asking(messages)).reply.text == "[script] two");
}

TEST_CASE("script: texts and arguments refer to what was said and found") {
  const Scenario scenario = scenario_of(
      R"({"steps":[{"calls":[{"name":"a"}]},{"text":"{{result:1}}|{{result:2}}|{{result:3}}|)"
      R"({{last_user}}|{{other}}|{{result:x}}|}} {{ {{last_user}}","calls":[{"name":"b",)"
      R"("arguments":{"pid":"{{result:1}}","list":["{{last_user}}",7]}}]}]})");
  const ChatRequest request =
      asking({message("user", "old"), message("tool", "before"), message("user", "go"),
              message("assistant", ""), message("tool", " 42 \nmore"), message("tool", "second")});
  const ChatReply reply = play(scenario, request).reply;
  CHECK(reply.text == "[script] 42|second|(no result 3)|go|{{other}}|{{result:x}}|}} {{ go");
  CHECK(reply.calls[0].arguments == R"({"pid":"42","list":["go",7]})");
}

TEST_CASE("script: what a placeholder brings in is not looked at again") {
  const Scenario scenario = scenario_of(R"({"steps":[{"text":"{{last_user}}"}]})");
  CHECK(play(scenario, asking({message("user", "{{last_user}}")})).reply.text ==
        "[script] {{last_user}}");
}

TEST_CASE("script: usage is what the step says, else counted") {
  const Scenario scenario = scenario_of(
      R"({"steps":[{"text":"a","usage":{"input":7,"output":8,"cached":2}},{"text":"1234567"}]})");
  const TokenUsage given = play(scenario, asking({message("user", "go")})).reply.usage;
  CHECK(given.input == 7);
  CHECK(given.output == 8);
  CHECK(given.cached == 2);
  CHECK_FALSE(given.estimated);
  const ChatRequest second = asking({message("user", "go"), message("assistant", "a")});
  const TokenUsage counted = play(scenario, second).reply.usage;
  CHECK(counted.estimated);
  CHECK(counted.output == 4);  // "[script] 1234567"
  CHECK(counted.input == 16);
}

TEST_CASE("script: content may be a list of parts") {
  const Scenario scenario = scenario_of(R"({"tasks":[{"match":"ab","after":"{{last_user}}"}]})");
  const json::Array parts = {json::Object{{"type", "text"}, {"text", "a"}},
                             json::Object{{"type", "text"}, {"text", "b"}}};
  json::Array messages;
  messages.push_back(json::Object{{"role", "user"}, {"content", parts}});
  CHECK(play(scenario, asking(messages)).reply.text == "[script] ab");
}

TEST_CASE("script: a message for which there is no task is told so") {
  const Scenario scenario = scenario_of(R"({"name":"n","tasks":[{"match":"build"}]})");
  const ChatReply reply = play(scenario, asking({message("user", "sing")})).reply;
  CHECK_THAT(reply.text, has("[script] The scenario n has no task for sing"));
  CHECK_THAT(reply.text, has("build"));
  CHECK(reply.calls.empty());
}

TEST_CASE("script: without a scenario it says what it is and what to do") {
  const ChatReply reply = script::introduce(asking({message("user", "hello")})).reply;
  CHECK_THAT(reply.text, has("[script] I am the script model: no language model is configured."));
  CHECK_THAT(reply.text, has("You wrote: hello"));
  CHECK_THAT(reply.text, has("/etc/models/default.toml"));
  CHECK_THAT(reply.text, has("OPENAI_API_KEY"));
  CHECK(reply.finish_reason == "stop");
}
