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
