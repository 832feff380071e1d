// SPDX-License-Identifier: MIT
// The loop on a real kernel: what a person sees of a run.
#include <latch>

#include "catch.h"
#include "kernel/chat.h"
#include "kernel/streams.h"
#include "kernel/syscalls/proc.h"
#include "unit/agents/world.h"

namespace agentfs::agents {
namespace {

using namespace test;
using Catch::Matchers::has;

// Cancels as a person does: by the syscall.
Status signal(World& world, ProcessId pid, std::string signal) {
  const Caller person = world.kernel().agent(world.kernel().init_process(0)->pid);
  TRY(person.call(proc::Signal{pid, std::move(signal)}));
  return ok();
}

TEST_CASE("a message is answered") {
  Disk disk;
  FakeModel model([](const ChatRequest& request) { return say("you said " + last_text(request)); });
  World world(disk, model);
  const ProcessId pid = world.spawn("hello");
  CHECK(world.wait(pid) == "you said hello");
  const ProcessRef process = world.process(pid);
  CHECK(process->state == RunState::idle);
  CHECK(process->run.outcome == "answered");
  CHECK(process->usage.turns == 1);
  CHECK(process->usage.tokens_in == 100);
  CHECK(process->usage.micro_usd == 100 * 2 + 10 * 10);
  REQUIRE(world.send(pid, "again"));
  CHECK(world.wait(pid) == "you said again");
  CHECK(world.process(pid)->run.number == 2);
  CHECK(eventually([&] { return world.agents().busy() == 0; }));
}

TEST_CASE("tools run, their results come back in order, the run goes on") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "alpha\n");
  disk.paths.put("/workspaces/site/b", "beta\n");
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    switch (step_of(request)) {
      case 0:
        return call({read_of("1", "a"), read_of("2", "b"), read_of("3", "gone")}, "I look.");
      case 1:
        return call({tool("1", "write", R"({"path":"c","text":"gamma\n"})"), read_of("2", "c")});
      default:
        return say("done: " + last_text(request));
    }
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("look");
  CHECK_THAT(world.wait(pid), has("done: ") && has("gamma"));
  CHECK(disk.paths.get("/workspaces/site/c") == "gamma\n");
  const ProcessRef process = world.process(pid);
  REQUIRE(process->calls.size() == 5);
  CHECK(process->calls[2]->state == Call::State::failed);
  CHECK_THAT(process->calls[2]->result, has("gone"));
  CHECK(process->usage.calls == 5);
  REQUIRE(model.asked() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(find_invalid(model.request(i).messages).empty());
  const std::string chat = render_chat(*process);
  CHECK_THAT(chat, has("look\n") && has("- call 1 read {\"path\":\"a\"}: done") && has("gamma"));
}

TEST_CASE("calls that only ask run beside each other, up to the profile's limit") {
  Disk disk;
  for (const char* name : {"a", "b", "c", "d"})
    disk.paths.put(std::string("/workspaces/site/") + name, "x");
  std::latch both(2);
  disk.paths.on_read([&](const std::string& path) {
    if (path.ends_with("/a") || path.ends_with("/b")) both.arrive_and_wait();
  });
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("done");
    return call({read_of("1", "a"), read_of("2", "b"), read_of("3", "c"), read_of("4", "d")});
  });
  World world(disk, model, 8);
  REQUIRE(world.kernel().configuration().save("profiles/default/profile.toml",
                                              "max_parallel_calls = 2\n"));
  const ProcessId pid = world.spawn("look");
  CHECK(world.wait(pid) == "done");
  CHECK(disk.paths.most_readers() == 2);
}

TEST_CASE("a long result is bounded for the model and kept whole") {
  Disk disk;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += fmt::format("line {}\n", i);
  disk.paths.put("/workspaces/site/long", text);
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("read");
    return call({read_of("1", "long")});
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("go");
  CHECK(world.wait(pid) == "read");
  const CallRef call = world.process(pid)->calls.at(0);
  CHECK(call->result.size() < 17'000);
  CHECK_THAT(call->result, has(fmt::format("/proc/{}/calls/1/result", pid.value)));
  CHECK(call->result_size >= text.size());
  const Result<std::string> whole = world.kernel().call_result(*call);
  REQUIRE(whole);
  CHECK(whole->size() == call->result_size);
  CHECK_THAT(*whole, has("line 2500\n"));
  CHECK(last_text(model.request(1)) == call->result);
}

TEST_CASE("a message to a running agent is read before its next turn") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "x");
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (request.messages.size() == 2) return call({read_of("1", "a")});
    return say("heard " + last_text(request));
  });
  World world(disk, model);
  model.hold();
  const ProcessId pid = world.spawn("go");
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  REQUIRE(world.send(pid, "hurry"));
  CHECK(world.process(pid)->queued.size() == 1);
  model.release();
  CHECK(world.wait(pid) == "heard hurry");
  CHECK(world.process(pid)->run.number == 1);
  CHECK(find_invalid(model.request(1).messages).empty());
}

TEST_CASE("cancel ends the run at once, and the conversation goes on from there") {
  Disk disk;
  FakeModel model;
  World world(disk, model);
  SECTION("while the model is asked") {
    const ProcessId pid = world.spawn("go");
    REQUIRE(eventually([&] { return model.asked() == 1; }));
    REQUIRE(signal(world, pid, "cancel"));
    CHECK(world.process(pid)->run.outcome == "cancelled");
    CHECK(world.process(pid)->state == RunState::idle);
    CHECK(eventually([&] { return model.cancelled() == 1; }));
    model.play([](const ChatRequest&) { return say("here"); });
    REQUIRE(world.send(pid, "again"));
    CHECK(world.wait(pid) == "here");
    CHECK(eventually([&] { return world.agents().busy() == 0; }));
  }
  SECTION("while a tool runs, and others wait") {
    model.play([](const ChatRequest& request) -> ChatReply {
      if (step_of(request) != 0 || request.messages.size() > 4) return say("here");
      return call({tool("1", "ctl", R"({"path":"/proc/self/ctl","line":"x"})"),
                   tool("2", "write", R"({"path":"late","text":"x"})")});
    });
    const ProcessId pid = world.spawn("go");
    REQUIRE(eventually([&] { return disk.paths.commands() == 1; }));
    REQUIRE(signal(world, pid, "cancel"));
    CHECK(world.process(pid)->run.outcome == "cancelled");
    for (const CallRef& call : world.process(pid)->calls) {
      CHECK(call->state == Call::State::cancelled);
    }
    REQUIRE(eventually([&] { return world.agents().busy() == 0; }));
    REQUIRE(world.send(pid, "again"));
    CHECK(world.wait(pid) == "here");
    CHECK(disk.paths.writes("/workspaces/site/late") == 0);
    CHECK(find_invalid(model.request(model.asked() - 1).messages).empty());
  }
}

TEST_CASE("redirect cancels the turn and steers") {
  Disk disk;
  FakeModel model;
  World world(disk, model);
  const ProcessId pid = world.spawn("go left");
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  model.play([](const ChatRequest& request) { return say("did " + last_text(request)); });
  const Caller person = world.kernel().agent(world.kernel().init_process(0)->pid);
  REQUIRE(person.call(proc::Redirect{pid, "go right"}));
  CHECK(world.wait(pid) == "did go right");
  CHECK(eventually([&] { return model.cancelled() == 1; }));
  CHECK(last_text(model.request(model.asked() - 1)) == "go right");
}

TEST_CASE("a killed process stops at once and nothing is recorded for it") {
  Disk disk;
  FakeModel model;
  World world(disk, model);
  const ProcessId pid = world.spawn("go");
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  REQUIRE(signal(world, pid, "kill"));
  const Sequence changed = world.process(pid)->changed;
  CHECK(world.process(pid)->state == RunState::dead);
  CHECK(eventually([&] { return model.cancelled() == 1 && world.agents().busy() == 0; }));
  CHECK(world.process(pid)->changed == changed);
}

TEST_CASE("a stopped process holds the next step back until it is continued") {
  Disk disk;
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("done");
    return call({read_of("1", "a")});
  });
  disk.paths.put("/workspaces/site/a", "x");
  World world(disk, model);
  model.hold();
  const ProcessId pid = world.spawn("go");
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  REQUIRE(signal(world, pid, "stop"));
  model.release();
  REQUIRE(eventually([&] { return world.agents().busy() == 0; }));
  CHECK(world.process(pid)->state == RunState::stopped);
  CHECK(model.asked() == 1);
  CHECK(world.process(pid)->calls.at(0)->state == Call::State::pending);
  REQUIRE(signal(world, pid, "cont"));
  CHECK(world.wait(pid) == "done");
}

TEST_CASE("a process that is asked to end finishes its turn") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "x");
  FakeModel model([](const ChatRequest&) { return call({read_of("1", "a")}); });
  World world(disk, model);
  model.hold();
  const ProcessId pid = world.spawn("go");
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  REQUIRE(signal(world, pid, "term"));
  model.release();
  REQUIRE(eventually([&] { return world.process(pid)->state == RunState::dead; }));
  CHECK(world.process(pid)->calls.at(0)->state == Call::State::done);
  CHECK(model.asked() == 1);
}

TEST_CASE("a spent budget kills, and the loop stops") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "x");
  FakeModel model([](const ChatRequest&) { return call({read_of("1", "a")}); });
  World world(disk, model);
  std::string key;
  SECTION("tokens") { key = "tokens"; }
  SECTION("calls") { key = "calls"; }
  SECTION("turns") { key = "turns"; }
  const ProcessId pid = world.spawn("go", {{"limits", json::Object{{key, 3}}}});
  REQUIRE(eventually([&] { return world.process(pid)->state == RunState::dead; }));
  CHECK(world.process(pid)->exit_reason == "quota:" + key);
  CHECK(eventually([&] { return world.agents().busy() == 0; }));
  CHECK(model.asked() <= 4);
}

TEST_CASE("the stream carries the text and the calls as they come, and ends with the run") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "x");
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("done");
    return call({read_of("1", "a")}, "I look. ");
  });
  World world(disk, model);
  const ProcessId pid = world.spawn();
  Mutex<Rank::log> mutex;
  std::string seen;
  std::atomic<int> ends = 0;
  world.kernel().streams().subscribe(pid, [&](std::string_view text, bool end) {
    Lock lock(mutex);
    seen += text;
    if (end) ++ends;
  });
  REQUIRE(world.send(pid, "go"));
  CHECK(world.wait(pid) == "done");
  REQUIRE(eventually([&] { return ends == 1; }));
  Lock lock(mutex);
  CHECK_THAT(seen, has("I look. \n[call 1 read {\"path\":\"a\"}]\n[call 1 done: ") && has("done"));
}

TEST_CASE("the stream ends with the process, and with a run that was stopped before it ended") {
  Disk disk;
  FakeModel model([](const ChatRequest&) -> ChatReply { return say("done"); });
  World world(disk, model);
  const ProcessId pid = world.spawn();
  std::atomic<int> ends = 0;
  world.kernel().streams().subscribe(pid, [&](std::string_view, bool end) {
    if (end) ++ends;
  });
  SECTION("idle") {}
  SECTION("stopped") {
    REQUIRE(signal(world, pid, "stop"));
    REQUIRE(world.send(pid, "go"));
  }
  REQUIRE(signal(world, pid, "kill"));
  CHECK(ends == 1);
}

TEST_CASE("each turn that changed files is a commit of the workspace") {
  Disk disk;
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    const std::string path = fmt::format("out{}", step_of(request));
    if (step_of(request) == 2) return call({read_of("", "out0")});
    if (step_of(request) > 2) return say("done");
    return call({tool("", "write", json::dump(json::Object{{"path", path}, {"text", "x"}}))});
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("write", {{"workspace", "site"}});
  CHECK(world.wait(pid) == "done");
  const std::vector<TurnCommit> commits = world.repository().commits();
  REQUIRE(commits.size() == 2);
  CHECK(commits[0].changed == std::vector<std::string>{"out0"});
  CHECK(commits[1].changed == std::vector<std::string>{"out1"});
  CHECK(commits[0].ref == fmt::format("refs/agentfs/turns/{}", pid.value));
}

TEST_CASE("ten thousand idle agents cost the loop nothing") {
  Disk disk;
  FakeModel model([](const ChatRequest&) { return say("done"); });
  World world(disk, model);
  ProcessId last;
  for (int i = 0; i < 10'000; ++i) last = world.spawn();
  CHECK(world.agents().busy() == 0);
  REQUIRE(world.send(last, "go"));
  CHECK(world.wait(last) == "done");
  CHECK(eventually([&] { return world.agents().busy() == 0; }));
}

TEST_CASE("a hundred agents work at once") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", "alpha");
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) < 2) return call({read_of("", "a"), read_of("", "a")});
    return say("done");
  });
  World world(disk, model, 4);
  std::vector<ProcessId> pids;
  for (int i = 0; i < 100; ++i) pids.push_back(world.spawn(fmt::format("task {}", i)));
  for (const ProcessId pid : pids) {
    CHECK(world.wait(pid) == "done");
    CHECK(world.process(pid)->calls.size() == 4);
  }
  CHECK(eventually([&] { return world.agents().busy() == 0; }));
}

}  // namespace
}  // namespace agentfs::agents
