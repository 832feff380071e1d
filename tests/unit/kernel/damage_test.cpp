// SPDX-License-Identifier: MIT
// A journal and a store that are damaged: what is told, and what is left.
#include "catch.h"
#include "kernel/keeper.h"
#include "kernel/merges.h"
#include "kernel/store_check.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using test::TemporaryDirectory;
using test::TestKernel;

SigningKey make_key() { return SigningKey::make(); }

// A kernel that has done a little of everything, ended: its log and store.
struct Past {
  Past() {
    for (int i = 0; i < 4; ++i) {
      const ProcessId pid = kernel.spawn();
      REQUIRE(kernel.commit("control.write", test::about(pid, {{"path", "/proc/1/ctl"}})));
    }
    REQUIRE(kernel.commit("tree.create", json::Object{{"path", "/workspaces/site/a"}}));
    REQUIRE(kernel.commit("tree.write", json::Object{{"path", "/workspaces/site/a"}}));
    expected = json::dump(fold_of_kernel());
    lines = kernel.lines();
    kernel.stop();
  }
  json::Value fold_of_kernel() {
    const auto journal = *Journal::open(*kernel.log, make_key(), kernel.clock);
    Fold fold;
    REQUIRE(journal->replay({}, [&](const Record& record) {
      fold.apply(record);
      return ok();
    }));
    return fold.to_json();
  }
  // The log with one byte of a line flipped.
  std::unique_ptr<LogStore> damaged(std::size_t line) const {
    auto log = make_memory_log();
    for (std::size_t i = 0; i < lines.size(); ++i) {
      std::string text = lines[i];
      if (!text.ends_with('\n')) text += '\n';
      if (i == line) text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
      REQUIRE(log->append(text));
    }
    return log;
  }

  TestKernel kernel;
  std::vector<std::string> lines;
  std::string expected;
};

TEST_CASE("a store that a replay makes is whole") {
  const Past past;
  const auto journal = *Journal::open(*past.kernel.log, make_key(), past.kernel.clock);
  const auto found = check_store(*past.kernel.store, *journal, true);
  REQUIRE(found);
  INFO((found->problems.empty() ? std::string() : found->problems.front()));
  CHECK(found->whole());
}

TEST_CASE("a store that says other than the journal is told") {
  const Past past;
  RecordStore& store = *past.kernel.store;
  const Sequence reached = *store.reached();
  std::vector<ObjectChange> changes;
  REQUIRE(store.load([&](std::string_view collection, std::string_view key, std::string_view) {
    if (changes.empty() && collection == "process") {
      changes.push_back({std::string(collection), std::string(key), "{\"pid\":1}"});
    }
    return ok();
  }));
  REQUIRE(changes.size() == 1);
  std::string told;
  SECTION("another object") { told = "says other"; }
  SECTION("one is missing") {
    changes[0].json.reset();
    told = "missing";
  }
  SECTION("one too many") {
    changes[0].key = "000000000999";
    told = "knows no such";
  }
  REQUIRE(store.apply(reached, changes));
  const auto journal = *Journal::open(*past.kernel.log, make_key(), past.kernel.clock);
  const auto found = check_store(store, *journal, true);
  REQUIRE(found);
  REQUIRE(found->problems.size() == 1);
  CHECK_THAT(found->problems.front(), Catch::Matchers::has(told));
  CHECK(check_store(store, *journal, false)->whole());  // a damaged journal says less than it
}

TEST_CASE("a directory may stand for changed paths in a store, but for none that is newer") {
  TestKernel kernel;
  Sequence last;
  for (const char* path : {"/workspaces/site/src/a", "/workspaces/site/src/b"}) {
    const auto record = kernel.commit("tree.write", json::Object{{"path", path}});
    REQUIRE(record);
    last = record->sequence;
  }
  kernel.stop();
  std::string key = "site/src";
  std::size_t problems = 0;
  SECTION("the change of the newest") {}
  SECTION("an older one") {
    --last.value;
    problems = 1;
  }
  SECTION("another directory") {
    key = "site/other";
    problems = 3;
  }
  const std::vector<ObjectChange> changes = {
      {.collection = "change", .key = "site/src/a", .json = {}},
      {.collection = "change", .key = "site/src/b", .json = {}},
      {.collection = "change", .key = key, .json = fmt::format("[{},0]", last.value)}};
  RecordStore& store = *kernel.store;
  REQUIRE(store.apply(*store.reached(), changes));
  const auto journal = *Journal::open(*kernel.log, make_key(), kernel.clock);
  const auto found = check_store(store, *journal, true);
  REQUIRE(found);
  CHECK(found->problems.size() == problems);
}

TEST_CASE("a store may have a version without its process, as an earlier one has, but no other") {
  TestKernel kernel;
  REQUIRE(kernel.commit(
      "tree.remove",
      json::Object{{"path", "/workspaces/site/a"},
                   {"kept", json::Value{}.set("number", 7).set("type", "empty").set("size", 0)}}));
  kernel.stop();
  RecordStore& store = *kernel.store;
  constexpr std::string_view kMember = R"("host_pid":4242,)";
  std::string_view other;
  std::size_t problems = 0;
  SECTION("none") {}
  SECTION("another") {
    other = R"("host_pid":4243,)";
    problems = 1;
  }
  SECTION("none, and another member besides") {
    other = R"("uid":7,)";
    problems = 1;
  }
  std::vector<ObjectChange> changes;
  REQUIRE(store.load([&](std::string_view collection, std::string_view key, std::string_view json) {
    if (collection != "version") return ok();
    std::string text(json);
    REQUIRE(text.contains(kMember));
    text.replace(text.find(kMember), kMember.size(), other);
    changes.push_back({std::string(collection), std::string(key), std::move(text)});
    return ok();
  }));
  REQUIRE(changes.size() == 1);
  REQUIRE(store.apply(*store.reached(), changes));
  const auto journal = *Journal::open(*kernel.log, make_key(), kernel.clock);
  const auto found = check_store(store, *journal, true);
  REQUIRE(found);
  CHECK(found->problems.size() == problems);
}

TEST_CASE("a store may have a commit without what it is of, as an earlier one has, but no other") {
  TestKernel kernel;
  const auto made = kernel.commit(
      "tree.checkpoint",
      json::Object{
          {"path", "/workspaces/site"}, {"name", "one"}, {"state", "1.1"}, {"reached", 1}});
  REQUIRE(made);
  REQUIRE(kernel.commit(
      "checkpoint.commit",
      json::Object{{"workspace", "site"}, {"record", made->sequence.value}, {"commit", "aaaa"}}));
  kernel.stop();
  RecordStore& store = *kernel.store;
  CheckpointCommits stored;
  std::size_t problems = 0;
  REQUIRE(store.load([&](std::string_view collection, std::string_view, std::string_view json) {
    if (collection == "checkpoints") stored = checkpoint_commits_from_json(*json::parse(json));
    return ok();
  }));
  REQUIRE(stored.state == "1.1");
  REQUIRE(stored.earlier.size() == 1);
  stored.state.clear();
  stored.earlier.clear();
  SECTION("none") {}
  SECTION("another commit") {
    stored.commit = "bbbb";
    problems = 1;
  }
  SECTION("another state") {
    stored.state = "1.2";
    problems = 1;
  }
  const std::vector<ObjectChange> changes{{"checkpoints", "site", json::dump(to_json(stored))}};
  REQUIRE(store.apply(*store.reached(), changes));
  const auto journal = *Journal::open(*kernel.log, make_key(), kernel.clock);
  const auto found = check_store(store, *journal, true);
  REQUIRE(found);
  CHECK(found->problems.size() == problems);
}

TEST_CASE("whichever record is damaged, a store that reflects it gives the same state") {
  const Past past;
  for (std::size_t line = 0; line < past.lines.size(); ++line) {
    const auto log = past.damaged(line);
    const auto journal = *Journal::open(*log, make_key(), past.kernel.clock);
    Keeper keeper(*past.kernel.store, *journal);
    const auto fold = keeper.load();
    INFO("record " << line + 1);
    REQUIRE(fold);
    CHECK(json::dump(fold->to_json()) == past.expected);
    CHECK_FALSE(keeper.problems().empty());
  }
}

TEST_CASE("whichever record is damaged, a replay without a store ends and tells") {
  const Past past;
  for (std::size_t line = 0; line < past.lines.size(); ++line) {
    const auto log = past.damaged(line);
    const auto journal = *Journal::open(*log, make_key(), past.kernel.clock);
    const auto store = make_memory_records();
    Keeper keeper(*store, *journal);
    INFO("record " << line + 1);
    REQUIRE(keeper.load());
    CHECK_FALSE(keeper.problems().empty());
  }
}

TEST_CASE("the text of a merge's order is known by its root") {
  CHECK(Merges::root_of_order(R"({"root":"/workspaces/w","record":"00"})") == "/workspaces/w");
  for (const char* text : {"", "{", "{}", R"({"root":"/workspaces/w"})", R"({"record":"00"})"}) {
    CHECK_FALSE(Merges::root_of_order(text));
  }
}

TEST_CASE("a key of which a bit was flipped is refused") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/key";
  const std::string key = SigningKey::ensure(path)->public_key();
  const std::string text = *file::read(path);
  for (std::size_t at = 0; at + 1 < text.size(); at += 5) {
    std::string other = text;
    other[at] = other[at] == '0' ? '1' : '0';
    REQUIRE(file::replace(path, other, 0600));
    CHECK(SigningKey::ensure(path).error().code == EBADMSG);
  }
  REQUIRE(file::replace(path, text, 0600));
  CHECK(SigningKey::ensure(path)->public_key() == key);
}

TEST_CASE("a key of which one bit was flipped, wherever, is known from what is left") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/key";
  REQUIRE(SigningKey::ensure(path));
  const std::string text = *file::read(path);
  for (std::size_t at = 0; at < text.size(); at += 16) {
    for (const int bit : {1, 0x40}) {
      if (at + 1 == text.size() && bit == 1) continue;  // another white space
      std::string other = text;
      other[at] = static_cast<char>(other[at] ^ bit);
      INFO("byte " << at << ", bit " << bit);
      CHECK(SigningKey::mended(other) == text);
      other[20] = other[20] == '0' ? 'f' : '0';  // more than one
      CHECK_FALSE(SigningKey::mended(other));
    }
  }
  for (const std::string& other : {std::string(), text.substr(0, 64), text + text}) {
    CHECK_FALSE(SigningKey::mended(other));
  }
}

}  // namespace
}  // namespace agentfs
