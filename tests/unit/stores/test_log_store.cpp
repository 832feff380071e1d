// SPDX-License-Identifier: MIT
// What every log store promises.
#include <atomic>
#include <thread>

#include "backends/memory/faults.h"
#include "backends/memory/memory.h"
#include "backends/segments/segments.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

struct Files {
  test::TemporaryDirectory directory;
  std::unique_ptr<LogStore> log = open_segments(directory.path("journal/segments")).value();
};

struct Memory {
  std::unique_ptr<LogStore> log = make_memory_log();
};

struct Decorated {
  std::unique_ptr<LogStore> log =
      std::make_unique<FaultLogStore>(make_memory_log(), std::make_shared<LogFaults>());
};

constexpr const char* kFirst = "000000000001.jsonl";

}  // namespace

TEMPLATE_TEST_CASE("a log begins empty and with segment 1", "[log]", Files, Memory, Decorated) {
  TestType store;
  CHECK(store.log->segments().empty());
  CHECK(store.log->sync());
  CHECK(store.log->append(""));
  CHECK(store.log->segments().empty());
  REQUIRE(store.log->append("{}\n"));
  REQUIRE(store.log->segments().size() == 1);
  CHECK(store.log->segments()[0].name == kFirst);
  CHECK(store.log->segments()[0].size == 3);
}

TEMPLATE_TEST_CASE("lines are read as they were appended", "[log]", Files, Memory, Decorated) {
  TestType store;
  REQUIRE(store.log->append("one\ntwo\n"));
  REQUIRE(store.log->append("three\n"));
  REQUIRE(store.log->sync());
  const auto read = [&](std::uint64_t offset, std::uint64_t limit) {
    return store.log->read(kFirst, offset, limit).value();
  };
  CHECK(read(0, 0) == "one\ntwo\nthree\n");
  CHECK(read(4, 0) == "two\nthree\n");
  CHECK(read(14, 0).empty());
  CHECK(read(0, 4) == "one\n");
  CHECK(read(0, 7) == "one\n");
  CHECK(read(0, 8) == "one\ntwo\n");
  CHECK(read(0, 1000) == "one\ntwo\nthree\n");
}

TEMPLATE_TEST_CASE("reads that cannot be answered say why", "[log]", Files, Memory, Decorated) {
  TestType store;
  REQUIRE(store.log->append("a long line\n"));
  CHECK(store.log->read("000000000002.jsonl").error().code == ENOENT);
  CHECK(store.log->read("../../etc/passwd").error().code == ENOENT);
  CHECK(store.log->read(kFirst, 13).error().code == EINVAL);
  CHECK(store.log->read(kFirst, 0, 5).error().code == EMSGSIZE);
}

TEMPLATE_TEST_CASE("text that is not whole lines is refused", "[log]", Files, Memory, Decorated) {
  TestType store;
  REQUIRE(store.log->append("kept\n"));
  const auto refused = store.log->append("whole\nhalf");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EINVAL);
  CHECK(store.log->read(kFirst).value() == "kept\n");
}

TEMPLATE_TEST_CASE("a roll begins a new segment", "[log]", Files, Memory, Decorated) {
  TestType store;
  REQUIRE(store.log->roll(5));
  REQUIRE(store.log->append("five\n"));
  REQUIRE(store.log->roll(9));
  REQUIRE(store.log->roll(9));  // still empty: nothing to do
  REQUIRE(store.log->append("nine\n"));
  CHECK(store.log->roll(9).error().code == EINVAL);
  CHECK(store.log->roll(4).error().code == EINVAL);
  CHECK(store.log->roll(0).error().code == EINVAL);
  const auto segments = store.log->segments();
  REQUIRE(segments.size() == 2);
  CHECK(segments[0].name == "000000000005.jsonl");
  CHECK(segments[1].name == "000000000009.jsonl");
  CHECK(store.log->read(segments[0].name).value() == "five\n");
  CHECK(store.log->read(segments[1].name).value() == "nine\n");
}

TEMPLATE_TEST_CASE("readers and syncs run beside the appender", "[log]", Files, Memory, Decorated) {
  TestType store;
  constexpr int kLines = 400;
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  const auto read_all = [&] {
    std::string all;
    for (const SegmentInfo& segment : store.log->segments()) {
      all += store.log->read(segment.name).value_or("?");
    }
    return all;
  };
  std::jthread reader([&] {
    std::size_t seen = 0;
    while (!done) {
      const std::string all = read_all();
      if (all.size() < seen || (!all.empty() && !all.ends_with('\n'))) ++wrong;
      seen = all.size();
    }
  });
  std::jthread syncer([&] {
    while (!done) {
      if (!store.log->sync()) ++wrong;
    }
  });
  std::string expected;
  for (int i = 1; i <= kLines; ++i) {
    const std::string line = fmt::format("{{\"sequence\":{}}}\n", i);
    if (i % 100 == 0 && !store.log->roll(static_cast<std::uint64_t>(i))) ++wrong;
    if (!store.log->append(line)) ++wrong;
    expected += line;
  }
  done = true;
  reader.join();
  syncer.join();
  CHECK(wrong == 0);
  CHECK(read_all() == expected);
  CHECK(store.log->segments().size() == 5);
}

}  // namespace agentfs
