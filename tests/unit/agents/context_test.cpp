// SPDX-License-Identifier: MIT
#include "agents/context.h"

#include "base/text.h"
#include "catch.h"
#include "unit/agents/world.h"

namespace agentfs::agents {
namespace {

using namespace test;
using Catch::Matchers::has;

std::string why(World& world, ProcessId pid) {
  return world.agents().context_why(*world.process(pid)).value();
}

// Without the names of the columns and the lines of the system prompt and the tools.
std::string sources_of(const std::string& lines) {
  const auto prompt = lines.find('\n') + 1;
  const auto tools = lines.find('\n', prompt) + 1;
  return lines.substr(lines.find('\n', tools) + 1);
}

std::string system_text(World& world, ProcessId pid) {
  const auto context = assemble(world.kernel(), *world.process(pid), Reader::person);
  return std::string(context.value().messages.at(0)["content"].text());
}

TEST_CASE("context shows to the byte what the request carries") {
  Disk disk;
  disk.paths.put("/workspaces/site/AGENTS.md", "Be brief.\n");
  disk.paths.put("/workspaces/site/a", "alpha\n");
  FakeModel model([](const ChatRequest& request) -> ChatReply {
    if (step_of(request) != 0) return say("done");
    return call({{"1", "read", R"({"path":"a"})"}, {"2", "list", "{broken"}});
  });
  World world(disk, model);
  const ProcessId pid = world.spawn("", {{"workspace", "site"}});
  REQUIRE(world.commit(pid, kind::kProcessState, {{"state", "stopped"}}));
  REQUIRE(world.send(pid, "look at \"this\"\n"));
  const auto sent = [&](std::size_t index) {
    const ChatRequest request = model.request(index);
    return json::dump_pretty(
        json::Object{{"messages", request.messages}, {"tools", request.tools}});
  };
  const std::string before = world.agents().context(*world.process(pid)).value();
  model.hold();
  REQUIRE(world.commit(pid, kind::kProcessState, {{"state", "running"}}));
  REQUIRE(eventually([&] { return model.asked() == 1; }));
  CHECK(sent(0) == before);
  CHECK(world.agents().context(*world.process(pid)).value() == before);
  model.release();
  CHECK(world.wait(pid) == "done");
  // The second request is the first one and more: caches hold.
  const json::Array first = model.request(0).messages;
  const json::Array second = model.request(1).messages;
  REQUIRE(second.size() == 5);
  CHECK(std::equal(first.begin(), first.end(), second.begin()));
  CHECK(model.request(0).tools == model.request(1).tools);
}

TEST_CASE("looking at the context changes nothing") {
  Disk disk;
  FakeModel model([](const ChatRequest&) { return say("done"); });
  World world(disk, model);
  const ProcessId pid = world.spawn("go", {{"workspace", "site"}});
  CHECK(world.wait(pid) == "done");
  const std::string head = world.kernel().journal().signed_head();
  REQUIRE(world.agents().context(*world.process(pid)));
  REQUIRE(world.agents().context_why(*world.process(pid)));
  CHECK(world.kernel().journal().signed_head() == head);
}

TEST_CASE("sources are walked from profile to process, by name, each told of") {
  Disk disk;
  FakeModel model;
  World world(disk, model);
  const std::string user = world.kernel().init_process(0)->user;
  const std::string home = "/home/" + user + "/context.d";
  auto& etc = world.kernel().configuration();
  REQUIRE(etc.save("profiles/default/context.d/20-b.md", "PROFILE B"));
  REQUIRE(etc.save("profiles/default/context.d/10-a.md", "PROFILE A"));
  disk.paths.put(home + "/notes.txt", "NOT ME");
  disk.paths.put(home + "/me.md", "HOME");
  disk.paths.put(home + "/bad.md", "\xff\xfe");
  disk.paths.put(home + "/locked.md", "LOCKED");
  disk.paths.fail_reads(home + "/locked.md", EACCES);
  disk.paths.put("/workspaces/site/AGENTS.md", "AGENTS");
  disk.paths.put("/workspaces/site/CLAUDE.md", "AGENTS");
  disk.paths.put("/workspaces/site/.agentfs/context.d/w.md", "WORKSPACE");
  const ProcessId pid = world.spawn("", {{"workspace", "site"}});
  REQUIRE(world.commit(pid, kind::kProcessContext, {{"name", "z.md"}, {"text", "PROCESS"}}));
  CHECK(
      sources_of(why(world, pid)) ==
      "/etc/profiles/default/context.d/10-a.md\t9\t3\tkept\n"
      "/etc/profiles/default/context.d/20-b.md\t9\t3\tkept\n" +
          home + "/bad.md\t2\t1\tdropped: not UTF-8\n" + home +
          "/locked.md\t0\t0\tdropped: unreadable: " + home +
          "/locked.md: cannot be read, as the test wants it\n" + home +
          "/me.md\t4\t1\tkept\n"
          "/workspaces/site/AGENTS.md\t6\t2\tkept\n"
          "/workspaces/site/CLAUDE.md\t6\t2\tdropped: the same text as /workspaces/site/AGENTS.md\n"
          "/workspaces/site/.agentfs/context.d/w.md\t9\t3\tkept\n" +
          fmt::format("/proc/{}/context.d/z.md\t7\t2\tkept\n", pid.value) +
          "conversation\t0\t0\tkept: 0 messages\n");
  const std::string text = system_text(world, pid);
  std::size_t place = 0;
  for (const char* part :
       {"You are fixer", "PROFILE A", "PROFILE B", "HOME", "AGENTS", "WORKSPACE", "PROCESS"}) {
    const auto found = text.find(part, place);
    INFO(part);
    REQUIRE(found != text.npos);
    place = found;
  }
  CHECK(text.find("NOT ME") == text.npos);
  CHECK_THAT(text, has("# From /workspaces/site/AGENTS.md\n\nAGENTS\n"));
  CHECK_THAT(text, has(fmt::format("process {} of agentfs", pid.value)) && has("/workspaces/site"));
}

TEST_CASE("the system prompt and the tools are among what the context is made of") {
  Disk disk;
  FakeModel model;
  World world(disk, model);
  const ProcessId pid = world.spawn("", {{"workspace", "site"}});
  const auto context = assemble(world.kernel(), *world.process(pid), Reader::person).value();
  REQUIRE(context.fixed.size() == 2);
  const std::size_t prompt = context.messages.at(0)["content"].text().size();
  const std::size_t schemas = json::dump(json::Value(context.tools)).size();
  const std::string expected = fmt::format(
      "# source\tbytes\ttokens\twhy\nsystem prompt\t{}\t{}\tkept\ntools\t{}\t{}\tkept: {} "
      "schemas\n",
      prompt, (prompt + 3) / 4, schemas, (schemas + 3) / 4, context.tools.size());
  CHECK(why(world, pid).starts_with(expected));
}

TEST_CASE("what is not there is called absent") {
  Disk disk;
  FakeModel model;
  World world(disk, model);
  const ProcessId pid = world.spawn("", {{"workspace", "site"}});
  const std::string lines = why(world, pid);
  CHECK_THAT(lines, has("/etc/profiles/default/context.d\t0\t0\tabsent\n") &&
                        has("/workspaces/site/AGENTS.md\t0\t0\tabsent\n") &&
                        has("/workspaces/site/.agentfs/context.d\t0\t0\tabsent\n"));
}

TEST_CASE("a source over the budget is dropped and smaller ones after it are kept") {
  Disk disk;
  disk.paths.put("/workspaces/site/AGENTS.md", std::string(100'000, 'x'));
  disk.paths.put("/workspaces/site/CLAUDE.md", "small");
  FakeModel model;
  World world(disk, model);
  REQUIRE(world.kernel().configuration().save("profiles/default/profile.toml",
                                              "context_tokens = 16000\n"));
  const ProcessId pid = world.spawn("", {{"workspace", "site"}});
  const std::string lines = why(world, pid);
  CHECK_THAT(lines, has("/workspaces/site/AGENTS.md\t100000\t25000\tdropped: over the budget "
                        "(needs 25000, ") &&
                        has("/workspaces/site/CLAUDE.md\t5\t2\tkept\n"));
}

TEST_CASE("a long conversation is cut to the window, and context.why says so") {
  Disk disk;
  disk.paths.put("/workspaces/site/a", std::string(4000, 'x'));
  std::atomic<int> left = 40;
  FakeModel model([&](const ChatRequest&) -> ChatReply {
    if (left-- <= 0) return say("done");
    return call({{"", "read", R"({"path":"a"})"}});
  });
  World world(disk, model);
  REQUIRE(world.kernel().configuration().save("profiles/default/profile.toml",
                                              "context_tokens = 16000\n"));
  const ProcessId pid = world.spawn("the task");
  CHECK(world.wait(pid) == "done");
  const ChatRequest last = model.request(model.asked() - 1);
  CHECK(find_invalid(last.messages).empty());
  CHECK(last.messages[1]["content"].text() == "the task");
  CHECK_THAT(std::string(last.messages[2]["content"].text()), has("earlier messages are left out"));
  CHECK(json::dump(json::Value(last.messages)).size() < 16'000 * 4);
  CHECK_THAT(why(world, pid), has("; dropped: the ") && has(" oldest, over the budget ("));
}

}  // namespace
}  // namespace agentfs::agents
