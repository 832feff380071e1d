// SPDX-License-Identifier: MIT
#include "kernel/journal.h"

#include <thread>

#include "backends/memory/faults.h"
#include "backends/segments/segments.h"
#include "base/file.h"
#include "base/text.h"
#include "catch.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using test::TemporaryDirectory;

struct Fixture {
  Fixture() { reopen(); }
  void reopen() {
    journal.reset();
    journal =
        std::move(*Journal::open(*log, *SigningKey::ensure(directory.path() + "/key"), clock));
  }
  void fill(int count) {
    for (int i = 0; i < count; ++i) {
      clock.advance(1'234'567);
      json::Value data;
      data.set("path", "/home/a").set("number", i);
      REQUIRE(journal->append("control.write", {.lineage = {{3}, {1}}, .user = "root"}, data));
    }
  }
  TemporaryDirectory directory;
  FakeClock clock;
  std::unique_ptr<LogStore> log = make_memory_log();
  std::unique_ptr<Journal> journal;
};

// The log's bytes with one of them changed, in a log of their own.
std::unique_ptr<LogStore> damaged(const std::string& text, std::size_t at) {
  std::string copy = text;
  copy[at] = static_cast<char>(copy[at] ^ 1);
  auto log = make_memory_log();
  REQUIRE(log->append(copy));
  return log;
}

TEST_CASE("a record is the same after it was written and read") {
  Record record{.sequence = {7},
                .time = 1'700'000'000'123'456'789,
                .kind = "process.spawn",
                .author = {.lineage = {{7}, {1}},
                           .user = "root",
                           .host_pid = 812,
                           .command = "ba\"sh",
                           .path = "/proc/clone",
                           .via = "call:3"},
                .data = *json::parse(R"({"pid":7,"text":"a\nb","list":[1,null,true]})")};
  std::string hash;
  const std::string line = encode_record(record, std::string(64, 'a'), hash);
  std::string previous;
  std::string read_hash;
  const Result<Record> read = decode_record(line, previous, read_hash);
  REQUIRE(read);
  CHECK(previous == std::string(64, 'a'));
  CHECK(read_hash == hash);
  CHECK(read->sequence == record.sequence);
  CHECK(read->time == record.time);
  CHECK(read->kind == record.kind);
  CHECK(read->author.lineage == record.author.lineage);
  CHECK(read->author.command == record.author.command);
  CHECK(read->author.path == record.author.path);
  CHECK(read->author.via == record.author.via);
  CHECK(read->author.host_pid == 812);
  CHECK(read->data == record.data);
}

TEST_CASE("the journal goes on where it ended, over segments") {
  Fixture f;
  f.journal->set_segment_bytes(600);
  f.fill(20);
  CHECK(f.log->segments().size() > 3);
  const JournalHead head = f.journal->head();
  f.reopen();
  CHECK(f.journal->head().sequence == head.sequence);
  CHECK(f.journal->head().hash == head.hash);
  f.fill(3);
  CHECK(f.journal->verify().value().starts_with("ok 23 "));
  std::vector<std::uint64_t> seen;
  REQUIRE(f.journal->replay({9}, [&](const Record& record) {
    seen.push_back(record.sequence.value);
    return ok();
  }));
  CHECK(seen.size() == 14);
  CHECK(seen.front() == 10);
  CHECK(f.journal->hash_at({20}) == head.hash);
  CHECK(f.journal->hash_at({24}).error().code == ENOENT);
}

TEST_CASE("verify finds a flipped bit in any byte of any record") {
  Fixture f;
  f.fill(4);
  const std::string text = *f.log->read(f.log->segments().front().name);
  const std::size_t step = 3;
  for (std::size_t at = 0; at + 1 < text.size(); at += text[at + 1] == '\n' ? 1 : step) {
    if (text[at] == '\n') continue;
    const auto log = damaged(text, at);
    const auto opened =
        Journal::open(*log, *SigningKey::ensure(f.directory.path() + "/key"), f.clock);
    INFO("byte " << at);
    REQUIRE(opened);
    CHECK_FALSE((*opened)->damage().empty());
    const auto verified = (*opened)->verify();
    REQUIRE_FALSE(verified);
    CHECK(verified.error().code == EBADMSG);
  }
}

TEST_CASE("after a damaged end the journal goes on in a new segment") {
  Fixture f;
  f.fill(4);
  std::string text = *f.log->read(f.log->segments().front().name);
  const bool is_last = GENERATE(true, false);
  const std::size_t at = is_last ? text.rfind("\"seq\"") + 2 : text.find("\"seq\":3") + 2;
  const auto log = damaged(text, at);
  const auto key = [&] { return *SigningKey::ensure(f.directory.path() + "/key"); };
  {
    auto journal = *Journal::open(*log, key(), f.clock);
    CHECK(journal->head().sequence.value == 4);
    CHECK(journal->hash_at({2}).has_value());
    // The one before a damaged record is known by itself, the damaged one by the one after it.
    CHECK(journal->hash_at({3}).has_value());
    CHECK(journal->hash_at({4}).has_value() == !is_last);
    // A store that has seen more than can be read here knows the number.
    CHECK(journal->continue_after({6}).has_value() == is_last);
    REQUIRE(journal->append("error", {}, {}));
    CHECK_FALSE(journal->continue_after({9}));
    REQUIRE(journal->append("error", {}, {}));
    CHECK(log->segments().size() == 2);
    CHECK(log->segments().back().name.starts_with(is_last ? "000000000007" : "000000000005"));
  }
  const auto journal = *Journal::open(*log, key(), f.clock);
  CHECK(journal->damage().empty());
  CHECK(journal->head().sequence.value == (is_last ? 8 : 6));
  CHECK_FALSE(journal->verify());
  std::vector<std::string> damaged;
  std::size_t seen = 0;
  const auto count = [&](const Record&, std::string_view) {
    ++seen;
    return ok();
  };
  REQUIRE(journal->replay_readable({}, count, damaged));
  CHECK(seen == 5);
  CHECK(damaged.size() == 1);
  CHECK_FALSE(journal->replay({}, [](const Record&) { return ok(); }));
}

TEST_CASE("verify compares the log with the head and tells the first wrong record") {
  Fixture f;
  f.journal->set_segment_bytes(1);
  f.fill(3);
  // An earlier segment is damaged: the journal opens by its last one, verify reads them all.
  auto log = make_memory_log();
  std::uint64_t number = 0;
  for (const SegmentInfo& segment : f.log->segments()) {
    std::string text = *f.log->read(segment.name);
    if (++number == 2) text[30] = static_cast<char>(text[30] ^ 1);
    REQUIRE(log->roll(number));
    REQUIRE(log->append(text));
  }
  const auto journal =
      Journal::open(*log, *SigningKey::ensure(f.directory.path() + "/key"), f.clock);
  REQUIRE(journal);
  const auto verified = (*journal)->verify();
  REQUIRE_FALSE(verified);
  CHECK(verified.error().code == EBADMSG);
  CHECK_THAT(verified.error().message, Catch::Matchers::has("record 2"));
}

TEST_CASE("verify reads a segment that was whole once more where somebody has written to it") {
  Fixture f;
  const std::shared_ptr<LogStore> segments =
      *open_segments(f.directory.path() + "/journal/segments");
  const auto calls = std::make_shared<LogFaults>();
  FaultLogStore log(segments, calls);
  const auto journal =
      *Journal::open(log, *SigningKey::ensure(f.directory.path() + "/key"), f.clock);
  journal->set_segment_bytes(1);
  const auto add = [&] { REQUIRE(journal->append("control.write", {.user = "root"}, {})); };
  const auto reads = [&] {
    const std::size_t before = calls->calls(LogCall::read);
    const auto verified = journal->verify();
    CHECK_THAT(verified ? *verified : verified.error().message, Catch::Matchers::has("ok "));
    return calls->calls(LogCall::read) - before;
  };
  for (int i = 0; i < 5; ++i) add();
  CHECK(reads() == 5);
  CHECK(reads() == 1);
  add();
  CHECK(reads() == 2);
  const std::string second = segments->segments()[1].host_path;
  const std::string whole = *file::read(second);
  std::string wrong = whole;
  wrong[30] = static_cast<char>(wrong[30] ^ 1);
  test::spit(second, wrong);
  const auto verified = journal->verify();
  REQUIRE_FALSE(verified);
  CHECK_THAT(verified.error().message, Catch::Matchers::has("record 2"));
  test::spit(second, whole);
  CHECK(reads() == 2);
  CHECK(reads() == 1);
}

TEST_CASE("the head is signed") {
  Fixture f;
  f.fill(2);
  const std::string head = f.journal->signed_head();
  const auto parts = text::split(text::trim(head), '\t');
  REQUIRE(parts.size() == 4);
  const std::string message = std::string(parts[0]) + " " + std::string(parts[1]);
  CHECK(signature_is_good(parts[2], message, parts[3]));
  CHECK_FALSE(signature_is_good(parts[2], message + "0", parts[3]));
}

TEST_CASE("syncs of many threads share what the log does") {
  Fixture f;
  auto faults = std::make_shared<LogFaults>();
  FaultLogStore log(std::shared_ptr<LogStore>(make_memory_log()), faults);
  auto journal =
      std::move(*Journal::open(log, *SigningKey::ensure(f.directory.path() + "/key"), f.clock));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        (void)journal->append("control.write", {}, {});
        (void)journal->sync();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(journal->head().sequence.value == 400);
  CHECK(faults->calls(LogCall::sync) <= 400);
  CHECK(journal->verify());
  faults->fail_call(LogCall::sync, EIO);
  REQUIRE(journal->append("control.write", {}, {}));
  CHECK(journal->sync().error().code == EIO);
  CHECK(journal->sync());
}

}  // namespace
}  // namespace agentfs
