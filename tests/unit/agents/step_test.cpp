// SPDX-License-Identifier: MIT
#include "agents/step.h"

#include "catch.h"
#include "unit/agents/make.h"

namespace agentfs::agents {
namespace {

using test::add_call;
using test::add_message;
using test::add_result;
using test::add_turn;
using test::process_in_run;
using Kind = Step::Kind;

std::vector<std::uint64_t> numbers(const Step& step) {
  std::vector<std::uint64_t> result;
  for (const CallRef& call : step.calls) result.push_back(call->number);
  return result;
}

void queue(Process& process, std::string text) {
  auto message = std::make_shared<Message>();
  message->text = std::move(text);
  process.queued.push_back(message);
}

Call& at(Process& process, std::size_t index) {
  auto copy = std::make_shared<Call>(*process.calls[index]);
  process.calls[index] = copy;
  return *copy;
}

using Numbers = std::vector<std::uint64_t>;

TEST_CASE("a process without a run begins one for a queued message, and rests without") {
  Process process = process_in_run(0);
  process.state = RunState::idle;
  CHECK(next_step(process, {}).kind == Kind::rest);
  queue(process, "hello");
  CHECK(next_step(process, {}).kind == Kind::begin_run);
  process.run.number = 3;
  process.run.ended = 9;
  CHECK(next_step(process, {}).kind == Kind::begin_run);
}

TEST_CASE("stopped, dead, waiting for approval and init processes rest") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  for (const RunState state : {RunState::stopped, RunState::dead, RunState::waiting_approval}) {
    process.state = state;
    CHECK(next_step(process, {}).kind == Kind::rest);
  }
  process.state = RunState::running;
  process.is_init = true;
  CHECK(next_step(process, {}).kind == Kind::rest);
}

TEST_CASE("a user message asks the model once") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  CHECK(next_step(process, {}).kind == Kind::ask_model);
  CHECK(next_step(process, {.model = true, .calls = {}}).kind == Kind::rest);
  process.run.model_call_open = true;  // after a restart: asked again
  CHECK(next_step(process, {}).kind == Kind::ask_model);
}

TEST_CASE("calls that only ask begin together up to the limit") {
  Process process = process_in_run();
  add_turn(process, {"read", "list", "search", "read"});
  CHECK(numbers(next_step(process, {.model = false, .calls = {}, .max_parallel = 3})) ==
        Numbers{1, 2, 3});
  at(process, 0).state = Call::State::running;
  at(process, 1).state = Call::State::running;
  CHECK(numbers(next_step(process, {.model = false, .calls = {1, 2}, .max_parallel = 3})) ==
        Numbers{3});
  at(process, 2).state = Call::State::running;
  CHECK(next_step(process, {.model = false, .calls = {1, 2, 3}, .max_parallel = 3}).kind ==
        Kind::rest);
}

TEST_CASE("a call that may change something runs alone and in its place") {
  Process process = process_in_run();
  add_turn(process, {"read", "exec", "read", "write"});
  CHECK(numbers(next_step(process, {})) == Numbers{1});
  at(process, 0).state = Call::State::running;
  CHECK(next_step(process, {.model = false, .calls = {1}}).kind == Kind::rest);
  at(process, 0).ended = 5;
  at(process, 0).state = Call::State::done;
  CHECK(numbers(next_step(process, {})) == Numbers{2});
  at(process, 1).state = Call::State::running;
  CHECK(next_step(process, {.model = false, .calls = {2}}).kind == Kind::rest);
  at(process, 1).ended = 6;
  at(process, 1).state = Call::State::done;
  CHECK(numbers(next_step(process, {})) == Numbers{3});
}

TEST_CASE("an unknown tool holds nobody up") {
  Process process = process_in_run();
  add_turn(process, {"fly", "read"});
  CHECK(numbers(next_step(process, {})) == Numbers{1, 2});
}

TEST_CASE("a call that runs nowhere is lost") {
  Process process = process_in_run();
  add_turn(process, {"read", "exec"});
  at(process, 0).state = Call::State::running;
  const Step step = next_step(process, {});
  CHECK(step.kind == Kind::end_calls);
  CHECK(numbers(step) == Numbers{1});
}

TEST_CASE("results ask the model again, an answer ends the run") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  add_turn(process, {"read"}, Call::State::done);
  add_result(process, "c1", "text");
  CHECK(next_step(process, {}).kind == Kind::ask_model);
  add_message(process, Message::Role::assistant, "it is done");
  const Step step = next_step(process, {});
  CHECK(step.kind == Kind::end_run);
  CHECK(step.outcome == "answered");
  CHECK(step.text == "it is done");
}

TEST_CASE("the answer of an earlier run ends no later one") {
  Process process = process_in_run(1);
  add_message(process, Message::Role::assistant, "old");
  process.run.number = 2;
  CHECK(next_step(process, {}).kind == Kind::ask_model);
}

TEST_CASE("a note of failure ends the run with its reason") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  add_message(process, Message::Role::system, "[failed: model x: nobody listens]");
  const Step step = next_step(process, {});
  CHECK(step.kind == Kind::end_run);
  CHECK(step.outcome == "failed");
  CHECK(step.text == "model x: nobody listens");
}

TEST_CASE("a draining process finishes its turn and ends") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  add_turn(process, {"read"});
  process.state = RunState::draining;
  CHECK(next_step(process, {}).kind == Kind::begin_calls);
  at(process, 0).state = Call::State::done;
  at(process, 0).ended = 4;
  add_result(process, "c1", "text");
  const Step step = next_step(process, {});
  CHECK(step.kind == Kind::end_run);
  CHECK(step.outcome == "terminated");
}

}  // namespace
}  // namespace agentfs::agents
