// SPDX-License-Identifier: MIT
#include <sys/stat.h>

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

TEST_CASE(
    "script driver: the mount's plain files are looked for below the trees, never in the mount") {
  Stage stage;
  const std::string trees = stage.directory + "/trees";
  const std::string mount = stage.directory + "/mount";
  REQUIRE(file::make_directories(trees + "/home/root"));
  REQUIRE(file::make_directories(mount + "/home/root"));
  stage.driver = std::make_unique<ScriptModelDriver>(stage.loop, trees, mount);
  REQUIRE(file::replace(trees + "/home/root/s.json", R"({"steps":[{"text":"below"}]})"));
  REQUIRE(file::replace(mount + "/home/root/s.json", R"({"steps":[{"text":"by itself"}]})"));
  REQUIRE(file::replace(mount + "/home/root/only.json", R"({"steps":[{"text":"by itself"}]})"));
  ChatRequest request = stage.request("{}");
  for (const std::string& path : {std::string("/home/root/s.json"), mount + "/home/root/s.json"}) {
    request.settings.scenario = path;
    CHECK(stage.ask(request)->text == "[script] below");
  }
  request.settings.scenario = mount + "/home/root/only.json";
  CHECK(stage.ask(request).error().code == ENOENT);

  std::filesystem::create_symlink(mount, trees + "/home/root/led");
  std::filesystem::create_symlink("s.json", trees + "/home/root/link.json");
  for (const char* const path : {"/home/root/led/home/root/only.json", "/home/root/link.json"}) {
    request.settings.scenario = path;
    CHECK(stage.ask(request).error().code == ELOOP);
  }
}

TEST_CASE("script driver: a scenario that is too large, or no file, is refused by its own name") {
  Stage stage;
  REQUIRE(file::make_directories(stage.directory + "/home"));
  stage.driver = std::make_unique<ScriptModelDriver>(stage.loop, stage.directory);
  ChatRequest request = stage.request("{}");
  REQUIRE(file::replace(stage.directory + "/home/large.json", "{}"));
  std::filesystem::resize_file(stage.directory + "/home/large.json", std::uintmax_t{1} << 30U);
  request.settings.scenario = "/home/large.json";
  const auto large = stage.ask(request);
  REQUIRE_FALSE(large);
  CHECK(large.error().code == EFBIG);
  CHECK_THAT(large.error().message, has("/home/large.json") && !has(stage.directory));
  REQUIRE(::mkfifo((stage.directory + "/home/fifo").c_str(), 0600) == 0);
  request.settings.scenario = "/home/fifo";
  CHECK(stage.ask(request).error().code == EINVAL);
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
