// SPDX-License-Identifier: MIT
// Random histories: whatever is accepted keeps to the table of states, and replays to the same
// state from any prefix and from any store.
#include <random>

#include "catch.h"
#include "kernel/keeper.h"
#include "kernel/kinds.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using test::TemporaryDirectory;

struct RandomHistory {
  explicit RandomHistory(unsigned seed) : random(seed) {
    journal =
        std::move(*Journal::open(*log, *SigningKey::ensure(directory.path() + "/key"), clock));
  }
  int pick(int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); }
  json::Value make(std::string& kind);
  // One random record; false where the state refused it.
  bool step();

  std::mt19937 random;
  TemporaryDirectory directory;
  FakeClock clock;
  std::shared_ptr<LogStore> log = make_memory_log();
  std::unique_ptr<Journal> journal;
  Fold fold;
};

json::Value RandomHistory::make(std::string& kind) {
  static const std::vector<std::string> kKinds = {
      "process.spawn", "process.state", "process.set",   "process.context", "process.exit",
      "process.reset", "process.reap",  "message.queue", "message.take",    "message.add",
      "run.begin",     "run.begin",     "run.end",       "run.redirect",    "model.begin",
      "model.begin",   "model.end",     "model.end",     "model.charge",    "call.begin",
      "call.begin",    "call.end",      "call.end",      "turn.commit",     "tree.write",
      "tree.rename",   "message.queue", "message.queue"};
  kind = kKinds[static_cast<std::size_t>(pick(static_cast<int>(kKinds.size())))];
  if (kind == "process.exit" && pick(4) != 0) kind = "message.queue";
  const std::vector<std::string> states = {"stopped", "draining", "running", "waiting-approval"};
  const std::vector<std::string> ends = {"done", "failed", "interrupted", "cancelled"};
  const auto pid = static_cast<std::uint64_t>(pick(6));
  json::Value data;
  if (kind == "process.spawn") {
    return data.set("parent", pid).set("user", "root").set("task", pick(2) ? "do" : "");
  }
  const std::string path =
      "/workspaces/w" + std::to_string(pick(2)) + "/f" + std::to_string(pick(9));
  if (kind.starts_with("tree.")) return data.set("path", path).set("other", path + "/.git/x");
  data.set("pid", pid)
      .set("state", kind == "call.end" ? ends[static_cast<std::size_t>(pick(4))]
                                       : states[static_cast<std::size_t>(pick(4))]);
  data.set("key", "limits").set("value", *json::parse(R"({"tokens":1000})"));
  data.set("name", "a.md").set("text", pick(3) ? "text" : "").set("reason", "killed");
  data.set("role", "system").set("outcome", "answered").set("tokens_in", pick(100));
  data.set("tokens_out", pick(50)).set("micro_usd", pick(9)).set("tool", "read").set("id", "c");
  data.set("workspace", "w1").set("reached", pick(300)).set("result", "r");
  if (kind == "call.end" || (kind == "call.begin" && pick(2))) data.set("call", 1 + pick(8));
  if (kind == "model.end" && pick(2)) {
    data.set("calls", *json::parse(R"([{"id":"1","name":"read","arguments":"{}"},
                                       {"id":"2","name":"list","arguments":"{}"}])"));
  }
  return data;
}

bool RandomHistory::step() {
  std::string kind;
  json::Value data = make(kind);
  std::map<ProcessId, RunState> before;
  for (const auto& [pid, process] : fold.processes()) before[pid] = process->state;
  const std::string was = json::dump(fold.to_json());
  if (!fold.accept(kind, data)) {
    CHECK(json::dump(fold.to_json()) == was);
    return false;
  }
  clock.advance(pick(1'000'000'000));
  const Record record = *journal->append(kind, {.lineage = {{1}}, .user = "root"}, std::move(data));
  fold.apply(record);
  for (const auto& [pid, process] : fold.processes()) {
    if (!before.contains(pid) || before[pid] == process->state) continue;
    INFO(kind << ": " << name(before[pid]) << " -> " << name(process->state));
    CHECK(may_follow(before[pid], process->state));
  }
  return true;
}

TEST_CASE("every replay of a history gives the same state") {
  const auto seed = GENERATE(range(1u, 9u));
  RandomHistory h(seed);
  for (int i = 0, done = 0; done < 250 && i < 20'000; ++i) done += h.step() ? 1 : 0;
  const std::string expected = json::dump(h.fold.to_json());
  for (int twice = 0; twice < 2; ++twice) {
    Fold again;
    REQUIRE(h.journal->replay({}, [&](const Record& record) {
      again.apply(record);
      return ok();
    }));
    CHECK(json::dump(again.to_json()) == expected);
  }
}

TEST_CASE("a store of any age and the rest of the journal give the same state") {
  const auto seed = GENERATE(range(20u, 26u));
  RandomHistory h(seed);
  auto faults = std::make_shared<RecordFaults>();
  FaultRecordStore store(std::shared_ptr<RecordStore>(make_memory_records()), faults);
  Keeper keeper(store, *h.journal);
  for (int i = 0, done = 0; done < 200 && i < 20'000; ++i) {
    if (!h.step()) continue;
    ++done;
    if (done % 7 != 0) continue;
    // Every other write fails, as a crash in the middle of it would leave the store.
    if (done % 2 == 0) faults->fail_call(RecordCall::apply, ENOSPC);
    Keeper::Batch batch{
        .objects = h.fold.take_dirty(), .next_pid = h.fold.next_pid(), .head = h.journal->head()};
    if (!keeper.write(batch)) h.fold.put_back(batch.objects);
    const Result<Fold> loaded = keeper.load();
    REQUIRE(loaded);
    CHECK(json::dump(loaded->to_json()) == json::dump(h.fold.to_json()));
  }
}

TEST_CASE("a store that does not fit the journal is filled again") {
  RandomHistory h(3);
  for (int done = 0; done < 50;) done += h.step() ? 1 : 0;
  const auto store = make_memory_records();
  Keeper keeper(*store, *h.journal);
  Keeper::Batch batch{
      .objects = h.fold.take_dirty(), .next_pid = h.fold.next_pid(), .head = h.journal->head()};
  SECTION("it is ahead") { batch.head.sequence.value += 5; }
  SECTION("it is of another chain") { batch.head.hash = std::string(64, 'f'); }
  REQUIRE(keeper.write(batch));
  const Result<Fold> loaded = keeper.load();
  REQUIRE(loaded);
  CHECK(json::dump(loaded->to_json()) == json::dump(h.fold.to_json()));
  CHECK(store->reached().value().value == 0);
  CHECK(keeper.problems().size() == 1);
  CHECK(loaded->next_pid() == h.fold.next_pid());
}

TEST_CASE("a journal that has been cut is told, and its process numbers are not given again") {
  RandomHistory h(3);
  const auto store = make_memory_records();
  Keeper whole(*store, *h.journal);
  const Keeper::Batch batch{
      .objects = {}, .next_pid = {41}, .head = {.sequence = {7}, .hash = std::string(64, 'a')}};
  REQUIRE(whole.write(batch));
  const auto loaded = whole.load();
  REQUIRE(loaded);
  CHECK(loaded->next_pid() == ProcessId{41});
  REQUIRE(whole.problems().size() == 1);
  CHECK_THAT(whole.problems().front(), Catch::Matchers::has("reflects record 7"));
}

}  // namespace
}  // namespace agentfs
