// SPDX-License-Identifier: MIT
#include "kernel/chat.h"

#include "catch.h"
#include "unit/agents/make.h"

namespace agentfs::agents {
namespace {

using test::add_message;
using test::add_result;
using test::add_turn;
using test::process_in_run;

TEST_CASE("a conversation reads as text") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "fix it\n## now").from = "root";
  add_turn(process, {"read", "exec"}, Call::State::done);
  auto& failed = const_cast<Call&>(*process.calls[1]);
  failed.state = Call::State::failed;
  failed.result = "exec: no sandbox\nmore";
  const_cast<Call&>(*process.calls[0]).result_size = 120;
  add_result(process, "c1", "text");
  add_message(process, Message::Role::assistant, "done");
  process.run.ended = 4;
  process.run.outcome = "answered";
  CHECK(render_chat(process) ==
        "## 1 user root 2023-11-14T22:13:20.000Z\n"
        "fix it\n"
        " ## now\n"
        "\n"
        "## 2 assistant 2023-11-14T22:13:20.000Z\n"
        "- call 1 read {}: done, 120 bytes\n"
        "- call 2 exec {}: failed: exec: no sandbox…\n"
        "\n"
        "## 4 assistant 2023-11-14T22:13:20.000Z\n"
        "done\n"
        "\n");
}

TEST_CASE("what ended a run is told once") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  process.run.ended = 4;
  process.run.outcome = "cancelled";
  CHECK(render_chat(process).ends_with("go\n\n[cancelled]\n\n"));
  process.run.outcome = "quota:tokens";
  process.run.text = "tokens: 120 of 100";
  CHECK(render_chat(process).ends_with("go\n\n[quota:tokens: tokens: 120 of 100]\n\n"));
  process.run.outcome = "failed";
  process.run.text = "model x: down";
  add_message(process, Message::Role::system, "[failed: model x: down]");
  CHECK(render_chat(process).ends_with("go\n\n[failed: model x: down]\n\n"));
}

TEST_CASE("no word of an ending is told twice") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  add_turn(process, {"exec", "read"}, Call::State::interrupted);
  const_cast<Call&>(*process.calls[0]).result = "interrupted: the daemon stopped";
  auto& cancelled = const_cast<Call&>(*process.calls[1]);
  cancelled.state = Call::State::cancelled;
  cancelled.result = "cancelled before it began; nothing was done";
  process.run.ended = 4;
  process.run.outcome = "cancelled";
  process.run.text = "cancelled";
  const std::string text = render_chat(process);
  CHECK_THAT(text, Catch::Matchers::has("exec {}: interrupted: the daemon stopped\n"));
  CHECK_THAT(text, Catch::Matchers::has("read {}: cancelled before it began; nothing was done\n"));
  CHECK(text.ends_with("\n[cancelled]\n\n"));
  process.run.outcome = "terminated";
  process.run.text = "terminated after a turn";
  CHECK(render_chat(process).ends_with("\n[terminated after a turn]\n\n"));
  process.run.text = "terminatedness";
  CHECK(render_chat(process).ends_with("\n[terminated: terminatedness]\n\n"));
}

TEST_CASE("queued messages come last") {
  Process process = process_in_run(0);
  auto queued = std::make_shared<Message>();
  queued->text = "later";
  queued->from = "root";
  process.queued.push_back(queued);
  CHECK(render_chat(process) == "## queued root 1970-01-01T00:00:00.000Z\nlater\n\n");
}

}  // namespace
}  // namespace agentfs::agents
