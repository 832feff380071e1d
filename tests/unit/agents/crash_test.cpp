// SPDX-License-Identifier: MIT
// The daemon dies after each record of a conversation in turn; the next one goes on from there.
#include <set>

#include "agents/conversation.h"
#include "catch.h"
#include "unit/agents/world.h"

namespace agentfs::agents {
namespace {

using namespace test;

ToolCall write_of(const std::string& id, const std::string& path, const std::string& text) {
  return {id, "write", json::dump(json::Object{{"path", path}, {"text", text}})};
}

// The work as a list of turns; which of them are done is read off the conversation's results, as
// a model would. A call that was interrupted is made again.
const std::vector<std::vector<ToolCall>>& plan_of(std::string_view task) {
  static const std::vector<std::vector<ToolCall>> first = {
      {read_of("a", "in1"), read_of("b", "in2"), read_of("c", "in3")},
      {write_of("a", "out1", "one"), read_of("b", "in1"), write_of("c", "out2", "two")},
      {read_of("a", "out1"), read_of("b", "out2")}};
  static const std::vector<std::vector<ToolCall>> second = {{write_of("a", "out3", "three")}};
  return task == "first task" ? first : second;
}

std::string last_task(const ChatRequest& request) {
  std::string task;
  for (const json::Value& message : request.messages) {
    if (message["role"].text() == "user") task = message["content"].text();
  }
  return task;
}

// Arguments of the calls since the last user message whose results are real.
std::multiset<std::string> settled(const ChatRequest& request) {
  std::multiset<std::string> done;
  std::map<std::string, std::string> arguments;
  for (const json::Value& message : request.messages) {
    if (message["role"].text() == "user") done.clear();
    if (const json::Array* calls = message["tool_calls"].array()) {
      for (const json::Value& call : *calls) {
        arguments[std::string(call["id"].text())] = call["function"]["arguments"].text();
      }
    }
    const bool real = !message["content"].text().starts_with("interrupted");
    if (message["role"].text() == "tool" && real) {
      done.insert(arguments[std::string(message["tool_call_id"].text())]);
    }
  }
  return done;
}

ChatReply answer(const ChatRequest& request) {
  const std::string task = last_task(request);
  std::multiset<std::string> done = settled(request);
  for (const std::vector<ToolCall>& turn : plan_of(task)) {
    std::vector<ToolCall> missing;
    for (const ToolCall& call : turn) {
      const auto found = done.find(call.arguments);
      if (found == done.end())
        missing.push_back(call);
      else
        done.erase(found);
    }
    if (!missing.empty()) return call(std::move(missing));
  }
  return say("finished " + task);
}

// A client that sends one task after the other and waits; it goes on where it was. Ends when all
// is done, or when `is_over`.
template <class Over>
void drive(World& world, Over is_over) {
  const ProcessId pid{2};
  if (world.process(pid) == nullptr) world.spawn("first task", {{"workspace", "site"}});
  const auto done = [&] { return is_over() || world.at_rest(pid); };
  REQUIRE(eventually(done));
  if (is_over() || world.process(pid) == nullptr) return;
  if (world.process(pid)->run.number == 1) (void)world.send(pid, "second task");
  REQUIRE(eventually(done));
}

void check_end(World& world, Disk& disk) {
  const ProcessRef process = world.process(ProcessId{2});
  REQUIRE(process);
  CHECK(process->run.text == "finished second task");
  CHECK(process->run.outcome == "answered");
  CHECK(process->run.number == 2);
  const json::Array messages = conversation(*process, 1'000'000).messages;
  CHECK(find_invalid(messages).empty());
  std::map<std::string, std::size_t> uncertain;  // interrupted after it began, by path
  for (const CallRef& call : process->calls) {
    CHECK((call->state == Call::State::done || call->state == Call::State::interrupted));
    if (call->state != Call::State::interrupted || call->started == 0) continue;
    const auto arguments = json::parse(call->arguments);
    REQUIRE(arguments);
    ++uncertain["/workspaces/site/" + std::string((*arguments)["path"].text())];
  }
  for (const auto& [name, text] :
       std::map<std::string, std::string>{{"out1", "one"}, {"out2", "two"}, {"out3", "three"}}) {
    const std::string path = "/workspaces/site/" + name;
    CHECK(disk.paths.get(path) == text);
    CHECK(disk.paths.writes(path) >= 1);
    CHECK(disk.paths.writes(path) <= 1 + uncertain[path]);
  }
}

void fill(Disk& disk) {
  for (const char* name : {"in1", "in2", "in3"}) {
    disk.paths.put(std::string("/workspaces/site/") + name, std::string("text of ") + name);
  }
}

std::size_t records_of_a_quiet_life() {
  Disk disk;
  fill(disk);
  FakeModel model(answer);
  World world(disk, model);
  const std::size_t before = world.records();
  drive(world, [] { return false; });
  check_end(world, disk);
  CHECK(world.process(ProcessId{2})->calls.size() == 9);
  return world.records() - before;
}

TEST_CASE("after a crash at any record the conversation ends as it would have") {
  const std::size_t records = records_of_a_quiet_life();
  REQUIRE(records > 30);
  for (std::size_t n = 1; n <= records; ++n) {
    INFO("crash before record " << n << " of " << records);
    Disk disk;
    fill(disk);
    FakeModel model(answer);
    {
      World world(disk, model);
      const std::size_t last = world.records() + n - 1;
      world.fail_records(n);
      drive(world, [&] { return world.records() > last; });
    }
    World world(disk, model);
    drive(world, [] { return false; });
    check_end(world, disk);
    REQUIRE(world.kernel().journal().verify());
  }
}

TEST_CASE("crashes over and over do no harm") {
  Disk disk;
  fill(disk);
  FakeModel model(answer);
  for (std::size_t life = 0; life < 200; ++life) {
    World world(disk, model);
    // Longer ones later: on a slow machine the first records of each are of the crash before.
    const std::size_t more = life % 3 + life / 8;
    const std::size_t last = world.records() + 2 + more;
    world.fail_records(3 + more);
    drive(world, [&] { return world.records() > last; });
    const ProcessRef process = world.process(ProcessId{2});
    if (process != nullptr && process->run.number == 2 && process->run.ended != 0) break;
  }
  World world(disk, model);
  drive(world, [] { return false; });
  check_end(world, disk);
}

}  // namespace
}  // namespace agentfs::agents
