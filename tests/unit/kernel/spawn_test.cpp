// SPDX-License-Identifier: MIT
// What a process is spawned with: place, limits, profile, rights.
#include "base/file.h"
#include "catch.h"
#include "kernel/configuration.h"
#include "kernel/kinds.h"
#include "kernel/limits.h"
#include "kernel/syscalls/fs.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;
using test::about;
using test::Answer;
using test::TestKernel;

TEST_CASE("every wrong spawn is refused with a sentence and changes nothing") {
  TestKernel t;
  struct Wrong {
    proc::Spawn args;
    int code;
    std::string says;
  };
  const std::vector<Wrong> all = {
      {{.name = "A b"}, EINVAL, "a-z"},
      {{.name = ""}, EINVAL, "a-z"},
      {{.name = std::string(65, 'a')}, EINVAL, "1 to 64"},
      {{.profile = "defalt"}, ENOENT, "did you mean default"},
      {{.model = "defaul"}, ENOENT, "did you mean default"},
      {{.workspace = "sit"}, ENOENT, "did you mean site"},
      {{.cwd = "/proc"}, EINVAL, "/workspaces"},
      {{.cwd = "/workspaces/site/none"}, ENOENT, "none"},
      {{.workspace = "site", .cwd = "/workspaces/other"}, EINVAL, "not in the workspace site"},
      {{.workspace = "site", .cwd = "/workspaces"}, EINVAL, "not in the workspace site"},
      {{.limits = "token=5"}, EINVAL, "did you mean tokens"},
      {{.limits = "tokens=many"}, EINVAL, "tokens"},
      {{.limits = "calls=0,tokens=0"}, EINVAL, "from 1"},
      {{.limits = "usd=0"}, EINVAL, "usd=none"},
      {{.limits = "wall=0s"}, EINVAL, "above 0"},
      {{.priority = 20}, EINVAL, "-20"},
      {{.deadline = "soon"}, EINVAL, "30m"},
      {{.deadline = "2001-01-01T00:00:00Z"}, EINVAL, "passed"},
      {{.task = ""}, EINVAL, "empty"},
      {{.task = std::string("a\0b", 3)}, EINVAL, "NUL"},
      {{.task = "\xff"}, EINVAL, "UTF-8"},
      {{.task = std::string((1 << 20) + 1, 'a')}, EMSGSIZE, "1048576"},
  };
  REQUIRE(file::make_directories(t.state() + "/trees/workspaces/other"));
  const Sequence before = t.kernel().journal().head().sequence;
  for (const Wrong& wrong : all) {
    const auto made = t.person().call(wrong.args);
    INFO(wrong.says);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == wrong.code);
    CHECK_THAT(made.error().message, has(wrong.says));
  }
  CHECK(t.kernel().journal().head().sequence == before);
}

TEST_CASE("limits that are given leave the profile's others in force") {
  TestKernel t;
  REQUIRE(t.kernel().configuration().save("profiles/p/profile.toml",
                                          "limits = \"tokens=500,calls=7\"\n"));
  const auto limits_of = [&](const std::string& given) {
    return show(t.process(t.spawn({.profile = "p", .limits = given}))->limits);
  };
  CHECK(limits_of("") == "tokens=500,calls=7");
  CHECK(limits_of("calls=100") == "tokens=500,calls=100");
  CHECK(limits_of("calls=none,turns=3") == "tokens=500,turns=3");
  CHECK(limits_of("none").empty());
}

TEST_CASE("a profile without a profile.toml is none, but for the default one") {
  TestKernel t;
  REQUIRE(t.kernel().configuration().save("profiles/bare/context.d/10-a.md", "text\n"));
  const auto refused = t.person().call(proc::Spawn{.profile = "bare"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENOENT);
  CHECK_THAT(refused.error().message, has("write /etc/profiles/bare/profile.toml") && has("empty"));
  REQUIRE(t.kernel().configuration().save("profiles/bare/profile.toml", ""));
  CHECK(t.person().call(proc::Spawn{.profile = "bare"}));
  REQUIRE(t.kernel().configuration().save("profiles/default/context.d/10-a.md", "text\n"));
  CHECK(t.person().call(proc::Spawn{}));
  for (const char* name : {"", ".", "..", "a/b"}) {
    CHECK(t.person().call(proc::Spawn{.profile = name}).error().code == ENOENT);
  }
}

TEST_CASE("setting limits replaces all of them, none removes them") {
  TestKernel t;
  const ProcessId pid = t.spawn({.limits = "tokens=500,calls=7"});
  const auto set = [&](const std::string& value) {
    return t.person().call(proc::Set{.process = pid, .key = "limits", .value = value});
  };
  const Status refused = set("calls=0");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EINVAL);
  CHECK(show(t.process(pid)->limits) == "tokens=500,calls=7");
  REQUIRE(set("calls=9"));
  CHECK(show(t.process(pid)->limits) == "calls=9");
  REQUIRE(set("none"));
  CHECK(show(t.process(pid)->limits).empty());
}

TEST_CASE("a profile's tools and limits are checked when it is saved") {
  TestKernel t;
  const Configuration& documents = t.kernel().configuration();
  const auto fault = [&](std::string_view text) {
    const Status checked = documents.check("profiles/p/profile.toml", text);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == EBADMSG);
    return checked.error().message;
  };
  CHECK_THAT(fault("tools = [\"list\", \"readd\"]\n"),
             has("profile.toml:1: tools: no such tool") && has("did you mean read"));
  CHECK_THAT(fault("limits = \"calls=0\"\n"), has("calls cannot be 0") && has("from 1"));
  CHECK(documents.check("profiles/p/profile.toml", "tools = []\nlimits = \"none\"\n"));
}

TEST_CASE("an agent gives a child no more priority than it has itself") {
  TestKernel t;
  const ProcessId pid = t.spawn({.priority = 4});
  const auto child = [&](std::int64_t priority) {
    return t.kernel().agent(pid).call(proc::Spawn{.priority = priority});
  };
  const auto refused = child(-20);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EPERM);
  CHECK_THAT(refused.error().message, has("4 to 19"));
  CHECK(child(5));
  CHECK(t.process(child(4).value())->priority == 4);
  CHECK(t.person().call(proc::Spawn{.priority = -20}));
}

TEST_CASE("an agent gives a child no later deadline than it has itself, and its own without one") {
  TestKernel t;
  const ProcessId pid = t.spawn({.deadline = "1h"});
  const auto child = [&](const std::string& deadline) {
    return t.kernel().agent(pid).call(proc::Spawn{.deadline = deadline});
  };
  for (const char* const later : {"2h", "none"}) {
    CAPTURE(later);
    CHECK(child(later).error().code == EPERM);
  }
  CHECK(t.process(child("10m").value())->deadline < t.process(pid)->deadline);
  const auto own = t.kernel().agent(pid).call(proc::Spawn{});
  CHECK(t.process(own.value())->deadline == t.process(pid)->deadline);
  CHECK(t.process(t.person().call(proc::Spawn{}).value())->deadline == 0);
}

TEST_CASE("an agent gives neither itself nor a child tools that its profile has not") {
  TestKernel t;
  Configuration& documents = t.kernel().configuration();
  REQUIRE(documents.save("profiles/few/profile.toml", "tools = [\"list\", \"read\"]\n"));
  REQUIRE(documents.save("profiles/fewer/profile.toml", "tools = [\"list\"]\n"));
  REQUIRE(documents.save("profiles/more/profile.toml", "tools = [\"list\", \"exec\"]\n"));
  const ProcessId pid = t.spawn({.profile = "few"});
  const Caller agent = t.kernel().agent(pid);
  const auto set = [&](const std::string& profile) {
    return agent.call(proc::Set{.process = pid, .key = "profile", .value = profile});
  };
  CHECK(set("default").error().code == EPERM);
  const Status refused = set("more");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EPERM);
  CHECK_THAT(refused.error().message, has("more has exec, which few"));
  CHECK(agent.call(proc::Spawn{.profile = "default"}).error().code == EPERM);
  CHECK(t.process(*agent.call(proc::Spawn{}))->profile == "few");
  CHECK(t.process(*agent.call(proc::Spawn{.profile = "fewer"}))->profile == "fewer");
  REQUIRE(set("fewer"));
  CHECK(set("few").error().code == EPERM);
  CHECK(t.person().call(proc::Set{.process = pid, .key = "profile", .value = "default"}));
}

TEST_CASE("a child of an agent works in its parent's workspace, or in none") {
  TestKernel t;
  REQUIRE(file::make_directories(t.state() + "/trees/workspaces/other"));
  const ProcessId pid = t.spawn({.workspace = "site"});
  const Caller agent = t.kernel().agent(pid);
  for (const proc::Spawn& args :
       {proc::Spawn{.workspace = "other"}, proc::Spawn{.cwd = "/workspaces/other"}}) {
    const auto made = agent.call(args);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == EPERM);
    CHECK_THAT(made.error().message, has("works in its parent's workspace"));
  }
  CHECK(t.process(*agent.call(proc::Spawn{}))->workspace == "site");
  CHECK(t.process(*agent.call(proc::Spawn{.workspace = "site"}))->workspace == "site");
  const ProcessId without = *agent.call(proc::Spawn{.cwd = "/tmp"});
  CHECK(t.process(without)->workspace.empty());
  CHECK(t.kernel().agent(without).call(proc::Spawn{.workspace = "site"}).error().code == EPERM);
}

TEST_CASE("agents that make agents are bounded, in generations and in number") {
  TestKernel t({.agentfs_toml = "spawn_depth = 2\nspawn_descendants = 3\n"});
  const ProcessId top = t.spawn({});
  const ProcessId child = *t.kernel().agent(top).call(proc::Spawn{});
  const ProcessId grandchild = *t.kernel().agent(child).call(proc::Spawn{});
  const auto deeper = t.kernel().agent(grandchild).call(proc::Spawn{});
  REQUIRE_FALSE(deeper);
  CHECK(deeper.error().code == EDQUOT);
  CHECK_THAT(deeper.error().message, has("spawn_depth"));
  const ProcessId last = *t.kernel().agent(top).call(proc::Spawn{});
  for (const ProcessId pid : {top, child}) {
    const auto more = t.kernel().agent(pid).call(proc::Spawn{});
    REQUIRE_FALSE(more);
    CHECK(more.error().code == EDQUOT);
    CHECK_THAT(more.error().message, has("spawn_descendants"));
  }
  REQUIRE(t.kernel().end_process(t.person(), last, "killed"));
  CHECK(t.kernel().agent(child).call(proc::Spawn{}));
  CHECK(t.person().call(proc::Spawn{}));  // a person's are not counted
}

TEST_CASE("a child is given what is left of its parent's limits") {
  Usage usage;
  usage.tokens_in = 70;
  usage.calls = 9;
  const Limits rest = left({.tokens = 100, .micro_usd = 5, .calls = 8}, usage);
  CHECK(rest.tokens == 30);
  CHECK(rest.micro_usd == 5);
  CHECK(rest.calls == 1);  // 0 would be no limit
  CHECK(rest.turns == 0);
}

TEST_CASE("an agent and its commands have their owner's ids, a person's their own") {
  TestKernel t;
  const Caller person = t.person(4242);
  const ProcessId pid = *person.call(proc::Spawn{});
  CHECK(t.process(pid)->uid == 4242);
  CHECK(t.kernel().agent(pid).host.uid == 4242);
  CHECK(t.kernel().exec_user(t.kernel().agent(pid)).uid == 4242);
  CHECK(t.kernel().exec_user(person).uid == 4242);
  t.exec.run = [](const ExecRequest&) { return Result<ExecReply>(ExecReply{}); };
  Answer<std::string> answer;
  t.kernel().agent(pid).start(shell::Exec{.command = "id"}, answer.completion());
  REQUIRE(answer.wait());
  REQUIRE(t.exec.requests().size() == 1);
  REQUIRE(t.exec.requests()[0].user);
  CHECK(t.exec.requests()[0].user->uid == 4242);
}

TEST_CASE("a process starts in its workspace, its home or /tmp") {
  TestKernel t;
  REQUIRE(file::make_directories(t.state() + "/trees/workspaces/site/src"));
  const std::string home = t.process(t.person().process)->cwd;
  for (const std::string& cwd : {std::string("/workspaces/site/src"), home, std::string("/tmp")}) {
    INFO(cwd);
    const ProcessId pid = t.spawn({.workspace = "site", .cwd = cwd});
    CHECK(t.process(pid)->workspace == "site");
    CHECK(t.process(pid)->cwd == cwd);
  }
}

}  // namespace
}  // namespace agentfs
