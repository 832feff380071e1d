// SPDX-License-Identifier: MIT
#include "base/file.h"
#include "catch.h"
#include "kernel/error_log.h"
#include "kernel/kinds.h"
#include "kernel/syscalls/fs.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;
using test::about;
using test::Answer;
using test::eventually;
using test::TestKernel;

Status send(TestKernel& t, ProcessId pid, const std::string& text) {
  return t.person().call(proc::Send{.process = pid, .text = text});
}

Status signal(TestKernel& t, ProcessId pid, const std::string& word) {
  return t.person().call(proc::Signal{.process = pid, .signal = word});
}

// A run under way, its message taken up.
ProcessId running(TestKernel& t, std::optional<std::string> limits = std::nullopt) {
  const ProcessId pid = t.spawn({.limits = limits, .task = "fix it"});
  REQUIRE(t.commit(kind::kRunBegin, about(pid)));
  return pid;
}

TEST_CASE("a run goes from a message to an answer") {
  TestKernel t;
  const ProcessId pid = t.spawn({.name = "fixer", .workspace = "site"});
  CHECK(t.process(pid)->state == RunState::idle);
  CHECK(t.process(pid)->cwd == "/workspaces/site");
  REQUIRE(send(t, pid, "make the tests pass"));
  CHECK(t.process(pid)->state == RunState::queued);
  CHECK(t.userland.wakes(pid) == 1);
  const Answer<std::string> answer;
  t.kernel().await_run_end(pid, answer.completion());
  REQUIRE(t.commit(kind::kRunBegin, about(pid)));
  CHECK(t.process(pid)->messages.size() == 1);
  CHECK(t.process(pid)->messages[0]->from == "root");
  REQUIRE(t.commit(kind::kModelBegin, about(pid)));
  CHECK(t.process(pid)->state == RunState::waiting_model);
  const auto ended =
      t.commit(kind::kModelEnd, about(pid, {{"tokens_in", 100},
                                            {"tokens_out", 20},
                                            {"text", "look"},
                                            {"calls", *json::parse(R"([{"id":"x","name":"read",
                                                               "arguments":"{}"}])")}}));
  REQUIRE(ended);
  CHECK(ended->data["first_call"].number() == 1);
  REQUIRE(t.commit(kind::kCallBegin, about(pid, {{"call", 1}})));
  CHECK(t.process(pid)->state == RunState::waiting_tool);
  REQUIRE(t.commit(kind::kCallEnd, about(pid, {{"call", 1}, {"state", "done"}, {"result", "r"}})));
  CHECK(t.process(pid)->state == RunState::running);
  CHECK_FALSE(answer.is_there());
  REQUIRE(t.commit(kind::kRunEnd, about(pid, {{"outcome", "answered"}, {"text", "done"}})));
  CHECK(answer.wait() == "done");
  const ProcessRef process = t.process(pid);
  CHECK(process->state == RunState::idle);
  CHECK(process->usage.tokens() == 120);
  CHECK(process->usage.calls == 1);
  CHECK(process->usage.turns == 1);
  CHECK(process->messages.size() == 3);
  CHECK(process->messages.back()->call_id == "x");
  CHECK(t.process(process->parent)->subtree.tokens() == 120);
  CHECK_THAT(t.kernel().events(pid), has("\"kind\":\"run.end\""));
}

TEST_CASE("signals follow the table of states") {
  TestKernel t;
  const ProcessId pid = running(t);
  CHECK(signal(t, pid, "cont").error().code == EBUSY);
  REQUIRE(signal(t, pid, "stop"));
  CHECK(t.commit(kind::kModelBegin, about(pid)).error().code == EBUSY);
  REQUIRE(signal(t, pid, "cont"));
  CHECK(t.process(pid)->state == RunState::running);
  CHECK(signal(t, pid, "reset").error().code == EBUSY);
  REQUIRE(send(t, pid, "next"));
  REQUIRE(signal(t, pid, "cancel"));
  CHECK(t.process(pid)->run.outcome == "cancelled");
  CHECK(t.process(pid)->state == RunState::queued);  // what was queued starts the next run
  CHECK(t.userland.interrupts(pid) == 1);
  REQUIRE(t.commit(kind::kRunBegin, about(pid)));
  REQUIRE(signal(t, pid, "term"));
  CHECK(t.process(pid)->state == RunState::draining);
  CHECK(send(t, pid, "more").error().code == EBUSY);
  REQUIRE(t.commit(kind::kRunEnd, about(pid, {{"outcome", "answered"}, {"text", "x"}})));
  CHECK(t.process(pid)->state == RunState::dead);
  CHECK(t.process(pid)->exit_reason == "terminated");
  CHECK(send(t, pid, "more").error().code == ESRCH);
  REQUIRE(signal(t, pid, "reap"));
  CHECK(t.process(pid) == nullptr);
  CHECK(send(t, pid, "more").error().code == ESRCH);
  CHECK(signal(t, {99}, "kill").error().code == ENOENT);
  CHECK_THAT(signal(t, pid, "kil").error().message, has("did you mean kill"));
}

TEST_CASE("a signal that the state forbids says which would do") {
  TestKernel t;
  const ProcessId pid = t.spawn({.workspace = "/workspaces/site/"});
  CHECK(t.process(pid)->workspace == "site");
  CHECK(t.process(pid)->cwd == "/workspaces/site");
  REQUIRE(signal(t, pid, "stop"));
  const Status again = signal(t, pid, "stop");
  CHECK(again.error().code == EBUSY);
  CHECK_THAT(again.error().message, has("stopped already") && has("cont"));
  const Status reset = signal(t, pid, "reset");
  CHECK(reset.error().code == EBUSY);
  CHECK_THAT(reset.error().message, has("cont first") && !has("cancel"));
  REQUIRE(signal(t, pid, "cont"));
  CHECK(signal(t, pid, "reset"));
  const ProcessId busy = running(t);
  REQUIRE(signal(t, busy, "stop"));
  CHECK_THAT(signal(t, busy, "reset").error().message, has("cancel, then cont"));
  REQUIRE(signal(t, busy, "cancel"));
  REQUIRE(signal(t, busy, "cont"));
  CHECK(signal(t, busy, "reset"));
}

TEST_CASE("kill ends all descendants and answers those who wait") {
  TestKernel t;
  const ProcessId parent = running(t);
  const ProcessId child = *t.kernel().agent(parent).call(proc::Spawn{.name = "child"});
  const ProcessId stranger = t.spawn({});
  CHECK(t.process(child)->user == "root");
  CHECK(t.kernel()
            .agent(child)
            .call(proc::Signal{.process = parent, .signal = "kill"})
            .error()
            .code == EPERM);
  CHECK(t.kernel()
            .agent(parent)
            .call(proc::Signal{.process = stranger, .signal = "kill"})
            .error()
            .code == EPERM);
  const Answer<std::string> answer;
  t.kernel().await_run_end(parent, answer.completion());
  REQUIRE(signal(t, parent, "kill"));
  CHECK(answer.wait() == "killed");
  CHECK(t.process(child)->exit_reason == "killed");
  CHECK(t.process(stranger)->state == RunState::idle);
  CHECK(t.userland.interrupts(child) == 1);
  CHECK(signal(t, parent, "reap").error().code == EBUSY);  // the child first
  CHECK(t.kernel().agent(child).call(proc::Spawn{}).error().code == ESRCH);
  CHECK(signal(t, t.person().process, "kill").error().code == EPERM);
  CHECK_THAT(t.kernel().errors().text(t.person().process), has("init process"));
}

TEST_CASE("a stranger controls nobody, root everybody") {
  TestKernel t;
  const ProcessId pid = t.spawn({});
  const Caller other = t.person(54'321);
  CHECK(other.call(proc::Signal{.process = pid, .signal = "kill"}).error().code == EPERM);
  CHECK(other.call(proc::Send{.process = pid, .text = "hi"}).error().code == EPERM);
  const ProcessId own = *other.call(proc::Spawn{});
  CHECK(t.process(own)->user == "user54321");
  CHECK(signal(t, own, "kill"));
}

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

TEST_CASE("a redirect is the last word of what the next run takes up") {
  TestKernel t;
  const ProcessId pid = running(t);
  REQUIRE(send(t, pid, "older"));
  REQUIRE(t.person().call(proc::Redirect{.process = pid, .text = "rather this"}));
  REQUIRE(t.process(pid)->queued.size() == 2);
  CHECK(t.process(pid)->queued[0]->text == "older");
  REQUIRE(t.commit(kind::kRunBegin, about(pid)));
  CHECK(t.process(pid)->queued.empty());
  CHECK(t.process(pid)->messages.back()->text == "rather this");
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

TEST_CASE("budgets end a process, and bound the whole subtree") {
  TestKernel t;
  const ProcessId parent = running(t, "tokens=100,calls=2");
  const ProcessId child = *t.kernel().agent(parent).call(proc::Spawn{.task = "help"});
  CHECK(t.process(child)->limits.tokens == 100);
  CHECK(t.kernel().agent(parent).call(proc::Spawn{.limits = "tokens=101"}).error().code == EPERM);
  REQUIRE(t.commit(kind::kRunBegin, about(child)));
  SECTION("tokens of the child are the parent's") {
    REQUIRE(t.commit(kind::kModelBegin, about(child)));
    REQUIRE(t.commit(kind::kModelEnd, about(child, {{"tokens_in", 60}})));
    REQUIRE(t.commit(kind::kModelBegin, about(parent)));
    CHECK(t.process(parent)->subtree.tokens() == 60);
    REQUIRE(t.commit(kind::kModelEnd, about(parent, {{"tokens_in", 60}})));
    CHECK(t.process(parent)->exit_reason == "quota:tokens");
    CHECK(t.process(child)->exit_reason == "quota:tokens");
    CHECK(t.userland.interrupts(child) == 1);
  }
  SECTION("the call after the last one is refused") {
    for (int i = 0; i < 2; ++i) {
      REQUIRE(t.commit(kind::kCallBegin, about(child, {{"tool", "read"}, {"id", "a"}})));
    }
    CHECK(t.process(child)->state == RunState::waiting_tool);
    const auto third = t.commit(kind::kCallBegin, about(child, {{"tool", "read"}}));
    CHECK(third.error().code == EDQUOT);
    CHECK(t.process(child)->exit_reason == "quota:calls");
  }
}

TEST_CASE("deadlines, wall-clock budgets and retention are kept") {
  SystemClock clock;
  TestKernel t({.agentfs_toml = "reap_after_seconds = 1\n", .clock = &clock});
  const ProcessId late = t.spawn({.deadline = "30ms"});
  const ProcessId slow = running(t, "wall=40ms");
  CHECK(eventually([&] { return t.process(late)->state == RunState::dead; }));
  CHECK(t.process(late)->exit_reason == "deadline");
  CHECK(eventually([&] { return t.process(slow)->state == RunState::dead; }));
  CHECK(t.process(slow)->exit_reason == "quota:wall");
  CHECK(eventually([&] { return t.process(late) == nullptr; }));
}

TEST_CASE("a retention that is set anew holds for the dead and for who dies then") {
  SystemClock clock;
  TestKernel t({.agentfs_toml = {}, .clock = &clock});
  const ProcessId early = t.spawn();
  const ProcessId late = t.spawn();
  REQUIRE(signal(t, early, "kill"));
  CHECK(t.process(early)->state == RunState::dead);
  REQUIRE(t.person().call(sys::SaveDocument{"agentfs.toml", "reap_after_seconds = 1\n"}));
  CHECK(eventually([&] { return t.process(early) == nullptr; }));
  REQUIRE(signal(t, late, "kill"));
  CHECK(eventually([&] { return t.process(late) == nullptr; }));
}

TEST_CASE("a failed append leaves everything as it was, whichever it is") {
  TestKernel t;
  const ProcessId pid = running(t);
  const auto shown = [&] { return t.kernel().events(pid); };
  const std::vector<std::pair<std::string_view, json::Value>> steps = {
      {kind::kModelBegin, about(pid)},
      {kind::kModelEnd, about(pid, {{"tokens_in", 5}, {"text", "hm"}})},
      {kind::kCallBegin, about(pid, {{"tool", "read"}})},
      {kind::kCallEnd, about(pid, {{"call", 1}, {"state", "done"}, {"result", "r"}})},
      {kind::kRunEnd, about(pid, {{"outcome", "answered"}, {"text", "x"}})},
      {kind::kProcessExit, about(pid, {{"reason", "killed"}})},
  };
  for (const auto& [kind, data] : steps) {
    const ProcessRef before = t.process(pid);
    const std::string events = shown();
    t.log_faults->fail_call(LogCall::append, ENOSPC);
    INFO(kind);
    CHECK(t.commit(kind, data).error().code == ENOSPC);
    CHECK(t.process(pid) == before);  // the very same instant
    CHECK(shown() == events);
    REQUIRE(t.commit(kind, data));
  }
  CHECK(t.kernel().journal().verify());
}

}  // namespace
}  // namespace agentfs
