// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "backends/script/script_driver.h"
#include "base/file.h"
#include "catch.h"
#include "support/chat_call.h"
#include "support/temporary.h"

using namespace agentfs;
using namespace agentfs::testing;
using Catch::Matchers::has;
using Kind = ModelProgress::Kind;

namespace {

// A directory for scenarios, and a driver.
struct Stage {
  ChatRequest request(std::string_view scenario) {
    ChatRequest request;
    request.settings.name = "demo";
    request.settings.scenario = directory + "/scenario.json";
    request.messages = {json::Object{{"role", "user"}, {"content", "go"}}};
    if (!file::replace(request.settings.scenario, scenario)) FAIL("cannot write the scenario");
    return request;
  }
  Result<ChatReply> ask(ChatRequest request) {
    return ChatCall(*driver, std::move(request)).wait();
  }

  const test::TemporaryDirectory place;
  const std::string directory = place.path();
  EventLoop loop;
  std::unique_ptr<ScriptModelDriver> driver = std::make_unique<ScriptModelDriver>(loop);
};

}  // namespace

TEST_CASE("script driver: text comes in a few pieces, calls by name") {
  Stage stage;
  ChatCall call(
      *stage.driver,
      stage.request(R"({"steps":[{"text":"w\u00f6rds and w\u00f6rds \ud83d\ude00\ud83d\ude00",)"
                    R"("calls":[{"name":"read"},{"name":"list"}]}]})"));
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->calls.size() == 2);
  const auto pieces = call.texts(Kind::text);
  CHECK(pieces.size() > 1);
  CHECK(pieces.size() <= 5);
  std::string whole;
  for (const std::string& piece : pieces) whole += piece;
  CHECK(whole == reply->text);
  CHECK(call.texts(Kind::call) == std::vector<std::string>{"read", "list"});
}

TEST_CASE("script driver: without a scenario it introduces itself") {
  Stage stage;
  ChatRequest request;
  request.messages = {json::Object{{"role", "user"}, {"content", "hi"}}};
  CHECK_THAT(stage.ask(request)->text, has("You wrote: hi"));
}

TEST_CASE("script driver: a changed file is read again") {
  Stage stage;
  CHECK(stage.ask(stage.request(R"({"steps":[{"text":"old"}]})"))->text == "[script] old");
  CHECK(stage.ask(stage.request(R"({"steps":[{"text":"new"}]})"))->text == "[script] new");
}

TEST_CASE("script driver: a path of the mount is looked for below its plain files") {
  Stage stage;
  stage.driver = std::make_unique<ScriptModelDriver>(stage.loop, stage.directory);
  ChatRequest request = stage.request(R"({"steps":[{"text":"there"}]})");
  CHECK(stage.ask(request)->text == "[script] there");
  request.settings.scenario.erase(0, stage.directory.size());
  CHECK(stage.ask(request)->text == "[script] there");
}

TEST_CASE("script driver: a missing or malformed scenario is told with its place") {
  Stage stage;
  ChatRequest missing = stage.request("{}");
  missing.settings.scenario = stage.directory + "/nothing.json";
  const auto nothing = stage.ask(missing);
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().code == ENOENT);
  CHECK_THAT(nothing.error().message, has("nothing.json"));

  const auto malformed = stage.ask(stage.request(R"({"steps":[{"text":7}]})"));
  REQUIRE_FALSE(malformed);
  CHECK(malformed.error().code == EBADMSG);
  CHECK_THAT(malformed.error().message, has("model demo: scenario "));
  CHECK_THAT(malformed.error().message, has("steps[0].text"));

  missing.settings.scenario = stage.directory;
  CHECK(stage.ask(missing).error().code == EINVAL);
}

TEST_CASE("script driver: a delayed answer comes, and can be cancelled") {
  Stage stage;
  CHECK(stage.ask(stage.request(R"({"steps":[{"text":"a","delay_ms":1}]})")));
  ChatCall call(*stage.driver, stage.request(R"({"steps":[{"delay_ms":3600000}]})"));
  call.cancel();
  const auto reply = call.wait();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EINTR);
  CHECK(call.progress().empty());
}

TEST_CASE("script driver: its end is the end of what waits") {
  Stage stage;
  ChatCall call(*stage.driver, stage.request(R"({"steps":[{"delay_ms":3600000}]})"));
  stage.driver.reset();
  CHECK(call.wait().error().code == EINTR);
  call.cancel();  // the driver is gone: nothing to do
}
