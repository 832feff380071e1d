// SPDX-License-Identifier: MIT
// What goes wrong in a run, and what the model and the person are told.
#include "catch.h"
#include "kernel/chat.h"
#include "kernel/error_log.h"
#include "unit/agents/world.h"

namespace agentfs::agents {
namespace {

using namespace test;
using Catch::Matchers::has;

TEST_CASE("bad calls are answered with sentences and the run goes on") {
  Disk disk;
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("sorry");
    return call({tool("1", "raed", "{}"), tool("2", "read", "{\"path\": \"a"),
                 tool("3", "read", R"({"file":"a"})"), tool("3", "list", R"({"path":7})")});
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("go");
  CHECK(world.wait(pid) == "sorry");
  const ProcessRef process = world.process(pid);
  REQUIRE(process->calls.size() == 4);
  for (const CallRef& call : process->calls) CHECK(call->state == Call::State::failed);
  CHECK_THAT(process->calls[0]->result, has("did you mean read"));
  CHECK_THAT(process->calls[1]->result, has("not valid JSON") && has("\"properties\""));
  CHECK_THAT(process->calls[2]->result, has("path"));
  CHECK_THAT(process->calls[3]->result, has("path"));
  CHECK(find_invalid(model.request(1).messages).empty());
}

TEST_CASE("a model that fails ends the run with the reason; the next message tries again") {
  Disk disk;
  FakeModel model([](const ChatRequest&) -> Result<ChatReply> {
    return fail(EHOSTDOWN, "model default: nobody listens at 127.0.0.1:9");
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("go");
  CHECK_THAT(world.wait(pid), has("nobody listens"));
  ProcessRef process = world.process(pid);
  CHECK(process->run.outcome == "failed");
  CHECK(process->state == RunState::idle);
  CHECK(process->messages.at(0)->text == "go");
  CHECK_THAT(render_chat(*process),
             has("[failed: model default: nobody listens at 127.0.0.1:9]\n"));
  CHECK_THAT(world.kernel().errors().text(pid), has("nobody listens"));
  model.play([](const ChatRequest& request) {
    return say(fmt::format("{} messages", request.messages.size()));
  });
  REQUIRE(world.send(pid, "now?"));
  CHECK(world.wait(pid) == "3 messages");  // system, go, now?
  CHECK_THAT(render_chat(*world.process(pid)), has("[failed: "));
}

TEST_CASE("an empty answer is asked for once more, then the run fails") {
  Disk disk;
  std::atomic<int> empty = 1;
  FakeModel model([&](const ChatRequest&) { return empty-- > 0 ? say(" \n") : say("here"); });
  World world(disk, model);
  const ProcessId pid = world.spawn("go");
  CHECK(world.wait(pid) == "here");
  empty = 2;
  REQUIRE(world.send(pid, "again"));
  CHECK_THAT(world.wait(pid), has("the model answered nothing"));
  CHECK(world.process(pid)->run.outcome == "failed");
}

TEST_CASE("an answer that was cut off says so") {
  Disk disk;
  FakeModel model([&](const ChatRequest&) {
    ChatReply reply = say("one two");
    reply.finish_reason = "length";
    return reply;
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("count");
  CHECK(world.wait(pid) == "one two\n[cut off at the model's output limit]");
}

TEST_CASE("a model or a profile that is not there fails the run with the nearest names") {
  Disk disk;
  FakeModel model([](const ChatRequest&) { return say("here"); });
  World world(disk, model);
  const ProcessId pid = world.spawn("go");
  CHECK(world.wait(pid) == "here");
  REQUIRE(world.commit(pid, kind::kProcessSet, {{"key", "model"}, {"value", "defualt"}}));
  REQUIRE(world.send(pid, "again"));
  CHECK_THAT(world.wait(pid), has("defualt") && has("default"));
  REQUIRE(world.commit(pid, kind::kProcessSet, {{"key", "model"}, {"value", "default"}}));
  REQUIRE(world.commit(pid, kind::kProcessSet, {{"key", "profile"}, {"value", "no-such"}}));
  REQUIRE(world.send(pid, "again"));
  CHECK_THAT(world.wait(pid), has("no-such"));
  CHECK(world.process(pid)->run.outcome == "failed");
}

TEST_CASE("a journal that cannot be written holds the run up and loses nothing") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "x");
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("done");
    return call({read_of("1", "a")});
  });
  World world(disk, model);
  model.hold();
  const ProcessId pid = world.spawn("go");
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  world.fail_records(1, ENOSPC, 1);
  model.release();
  CHECK(world.wait(pid) == "done");
  CHECK(model.asked() == 2);  // the answer that could not be recorded at first was kept
  CHECK_THAT(world.kernel().errors().text(pid), has("ENOSPC"));
}

}  // namespace
}  // namespace agentfs::agents
