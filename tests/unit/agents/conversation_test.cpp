// SPDX-License-Identifier: MIT
#include "agents/conversation.h"

#include "catch.h"
#include "unit/agents/make.h"

namespace agentfs::agents {
namespace {

using test::add_message;
using test::add_result;
using test::add_turn;
using test::process_in_run;

constexpr std::int64_t kPlenty = 1'000'000;

std::string roles(const Conversation& conversation) {
  std::string result;
  for (const json::Value& message : conversation.messages) {
    result += message["role"].text().substr(0, 1);
  }
  return result;
}

TEST_CASE("a conversation has the form of chat completions") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  add_turn(process, {"read"}, Call::State::done);
  add_result(process, "c1", "text");
  add_message(process, Message::Role::assistant, "done");
  const Conversation all = conversation(process, kPlenty);
  CHECK(json::dump(json::Value(all.messages)) ==
        R"([{"role":"user","content":"go"},)"
        R"({"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)"
        R"("function":{"name":"read","arguments":"{}"}}]},)"
        R"({"role":"tool","tool_call_id":"c1","content":"text"},)"
        R"({"role":"assistant","content":"done"}])");
  CHECK(all.kept == 4);
  CHECK(all.dropped == 0);
}

TEST_CASE("results follow in the order of the calls, whatever order they ended in") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go");
  add_turn(process, {"read", "list", "read"}, Call::State::done);
  add_result(process, "c3", "third");
  add_result(process, "c1", "first");
  add_result(process, "c2", "second");
  const Conversation all = conversation(process, kPlenty);
  REQUIRE(roles(all) == "uattt");
  CHECK(all.messages[2]["content"].text() == "first");
  CHECK(all.messages[3]["content"].text() == "second");
  CHECK(all.messages[4]["content"].text() == "third");
}

TEST_CASE("queued messages come last, agents' words are marked, failures are left out") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "go").from = "root";
  add_message(process, Message::Role::system, "[failed: the model is down]");
  add_message(process, Message::Role::system, "a summary");
  auto queued = std::make_shared<Message>();
  queued->text = "hurry";
  queued->from = "pid 5";
  process.queued.push_back(queued);
  const Conversation all = conversation(process, kPlenty);
  REQUIRE(roles(all) == "usu");
  CHECK(all.messages[0]["content"].text() == "go");
  CHECK(all.messages[2]["content"].text() == "[from pid 5]\nhurry");
}

TEST_CASE("arguments that are not JSON are sent as JSON") {
  Process process = process_in_run();
  add_turn(process, {"read"}, Call::State::failed);
  auto& message = const_cast<Message&>(*process.messages.back());
  for (const char* arguments : {"{\"path\": \"a", "7", "\xff"}) {
    message.calls[0].arguments = arguments;
    const Conversation all = conversation(process, kPlenty);
    const auto sent = all.messages[0]["tool_calls"].array()->at(0)["function"]["arguments"].text();
    const auto parsed = json::parse(sent);
    REQUIRE(parsed);
    CHECK_FALSE((*parsed)["invalid"].is_null());
  }
}

// A run of one user message and many turns, each of about 100 tokens.
Process long_run(int turns) {
  Process process = process_in_run();
  add_message(process, Message::Role::user, "the task");
  for (int i = 0; i < turns; ++i) {
    add_turn(process, {"read"}, Call::State::done);
    add_result(process, fmt::format("c{}", i + 1), std::string(340, 'x'));
  }
  return process;
}

TEST_CASE("over the budget the oldest turns go whole, the task stays, a note says so") {
  const Process process = long_run(50);
  const Conversation cut = conversation(process, 1000);
  CHECK(cut.tokens <= 1000);
  CHECK(cut.tokens > 700);
  CHECK(cut.kept + cut.dropped == 101);
  const std::string order = roles(cut);
  CHECK(order.starts_with("usatat"));
  CHECK(cut.messages[0]["content"].text() == "the task");
  CHECK(cut.messages[1]["content"].text().find(std::to_string(cut.dropped)) !=
        std::string_view::npos);
  CHECK(cut.messages[1]["content"].text().find("/proc/7/chat") != std::string_view::npos);
  for (std::size_t i = 2; i + 1 < cut.messages.size(); i += 2) {
    CHECK((*cut.messages[i]["tool_calls"].array())[0]["id"].text() ==
          cut.messages[i + 1]["tool_call_id"].text());
  }
}

TEST_CASE("what is dropped changes in steps, so that the beginning stays the same") {
  std::size_t changes = 0;
  std::size_t before = conversation(long_run(20), 4000).dropped;
  for (int turns = 21; turns < 101; ++turns) {
    const std::size_t now = conversation(long_run(turns), 4000).dropped;
    if (now != before) ++changes;
    before = now;
  }
  CHECK(changes > 5);
  CHECK(changes < 25);
}

TEST_CASE("the last turn is kept whatever it takes") {
  Process process = process_in_run();
  add_message(process, Message::Role::user, std::string(100'000, 'x'));
  CHECK(roles(conversation(process, 100)) == "u");
  CHECK(roles(conversation(process, 0)) == "u");
}

}  // namespace
}  // namespace agentfs::agents
