// SPDX-License-Identifier: MIT
#include "backends/memory/faults.h"
#include "backends/memory/memory.h"
#include "backends/segments/segments.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

std::string all_of(const LogStore& log) {
  std::string all;
  for (const SegmentInfo& segment : log.segments()) {
    all += fmt::format("[{}]{}", segment.name[11], log.read(segment.name, 0, 0).value());
  }
  return all;
}

}  // namespace

TEST_CASE("the call that was named fails, once", "[faults]") {
  const auto faults = std::make_shared<LogFaults>();
  FaultLogStore log(make_memory_log(), faults);
  REQUIRE(log.append("one\n"));
  faults->fail_call(LogCall::append, ENOSPC, 2);
  CHECK(log.append("two\n"));
  const auto failed = log.append("three\n");
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ENOSPC);
  CHECK_THAT(failed.error().message, Catch::Matchers::has("ENOSPC"));
  CHECK(log.append("four\n"));
  CHECK(faults->calls(LogCall::append) == 4);
  CHECK(all_of(log) == "[1]one\ntwo\nfour\n");
}

TEST_CASE("each kind of call can fail, as often as wanted", "[faults]") {
  const auto faults = std::make_shared<LogFaults>();
  FaultLogStore log(make_memory_log(), faults);
  REQUIRE(log.append("one\n"));
  faults->fail_call(LogCall::sync, EIO, 1, 2);
  faults->fail_call(LogCall::roll, EIO);
  faults->fail_call(LogCall::read, EIO);
  CHECK(log.sync().error().code == EIO);
  CHECK(log.sync().error().code == EIO);
  CHECK(log.sync());
  CHECK(log.roll(2).error().code == EIO);
  CHECK(log.segments().size() == 1);
  CHECK(log.read("000000000001.jsonl", 0, 0).error().code == EIO);
  CHECK(log.append("two\n"));
}

TEST_CASE("a loss of power leaves what was synced", "[faults]") {
  FaultLogStore log(make_memory_log(), std::make_shared<LogFaults>());
  CHECK(all_of(*log.after_power_loss().value()).empty());
  REQUIRE(log.append("one\n"));
  CHECK(all_of(*log.after_power_loss().value()).empty());
  REQUIRE(log.sync());
  REQUIRE(log.append("two\nthree\n"));
  CHECK(all_of(*log.after_power_loss().value()) == "[1]one\n");
  CHECK(all_of(*log.after_power_loss(4).value()) == "[1]one\ntwo\n");
  CHECK(all_of(*log.after_power_loss(9).value()) == "[1]one\ntwo\n");
  REQUIRE(log.roll(4));
  REQUIRE(log.append("four\n"));
  CHECK(all_of(*log.after_power_loss().value()) == "[1]one\ntwo\nthree\n");
  CHECK(all_of(*log.after_power_loss(5).value()) == "[1]one\ntwo\nthree\n[4]four\n");
  REQUIRE(log.sync());
  CHECK(all_of(*log.after_power_loss().value()) == "[1]one\ntwo\nthree\n[4]four\n");
}

TEST_CASE("a failed sync saves nothing", "[faults]") {
  const auto faults = std::make_shared<LogFaults>();
  FaultLogStore log(make_memory_log(), faults);
  REQUIRE(log.append("one\n"));
  faults->fail_call(LogCall::sync, EIO);
  CHECK_FALSE(log.sync());
  CHECK(all_of(*log.after_power_loss().value()).empty());
}

TEST_CASE("faults wrap a log of files too", "[faults]") {
  const test::TemporaryDirectory directory;
  const std::string segments = directory.path("segments");
  REQUIRE(open_segments(segments).value()->append("before\n"));
  FaultLogStore log(open_segments(segments).value(), std::make_shared<LogFaults>());
  REQUIRE(log.append("after\n"));
  CHECK(all_of(*log.after_power_loss().value()) == "[1]before\n");
}

TEST_CASE("a record store fails by plan", "[faults]") {
  const auto faults = std::make_shared<RecordFaults>();
  const std::shared_ptr<RecordStore> inner = make_memory_records();
  FaultRecordStore records(inner, faults);
  const ObjectChange change{"run", "1", "{}"};
  faults->fail_call(RecordCall::apply, ENOSPC);
  CHECK(records.apply(Sequence{1}, {&change, 1}).error().code == ENOSPC);
  CHECK(inner->reached().value() == Sequence{0});
  CHECK(records.apply(Sequence{1}, {&change, 1}));
  CHECK(inner->reached().value() == Sequence{1});
  faults->fail_call(RecordCall::load, EBADMSG);
  CHECK(records.load([](auto, auto, auto) { return ok(); }).error().code == EBADMSG);
  faults->fail_call(RecordCall::check, EBADMSG);
  CHECK(records.check().error().code == EBADMSG);
  faults->fail_call(RecordCall::reached, EIO);
  CHECK(records.reached().error().code == EIO);
  faults->fail_call(RecordCall::clear, EIO);
  CHECK(records.clear().error().code == EIO);
  CHECK(records.clear());
}

}  // namespace agentfs
