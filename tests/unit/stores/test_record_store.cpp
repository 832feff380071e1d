// SPDX-License-Identifier: MIT
// What every record store promises.
#include "backends/memory/faults.h"
#include "backends/memory/memory.h"
#include "backends/sqlite/sqlite.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

struct Sqlite {
  test::TemporaryDirectory directory;
  std::unique_ptr<RecordStore> records = open_sqlite(directory.path("agentfs.sqlite")).value();
};

struct Memory {
  std::unique_ptr<RecordStore> records = make_memory_records();
};

struct Decorated {
  std::unique_ptr<RecordStore> records =
      std::make_unique<FaultRecordStore>(make_memory_records(), std::make_shared<RecordFaults>());
};

Status apply(RecordStore& records, std::uint64_t reached, std::vector<ObjectChange> changes) {
  return records.apply(Sequence{reached}, changes);
}

std::vector<std::string> content(RecordStore& records) {
  std::vector<std::string> all;
  const auto loaded = records.load([&](auto collection, auto key, auto json) {
    all.push_back(fmt::format("{}/{}={}", collection, key, json));
    return ok();
  });
  REQUIRE(loaded);
  return all;
}

using Content = std::vector<std::string>;

}  // namespace

TEMPLATE_TEST_CASE("a store begins empty", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  CHECK(store.records->reached().value() == Sequence{0});
  CHECK(content(*store.records).empty());
  CHECK(store.records->check());
}

TEMPLATE_TEST_CASE("changes are applied in order", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  auto& records = *store.records;
  REQUIRE(apply(records, 3,
                {{"run", "1", "{}"}, {"process", "7", R"({"a":1})"}, {"process", "10", "[]"}}));
  CHECK(content(records) == Content{"process/10=[]", R"(process/7={"a":1})", "run/1={}"});
  REQUIRE(apply(records, 4,
                {{"process", "7", R"({"a":2})"},
                 {"process", "10", std::nullopt},
                 {"process", "none", std::nullopt},
                 {"call", "x", "1"},
                 {"call", "x", std::nullopt}}));
  CHECK(content(records) == Content{R"(process/7={"a":2})", "run/1={}"});
  CHECK(records.reached().value() == Sequence{4});
  REQUIRE(apply(records, 4, {}));
  CHECK(records.check());
}

TEMPLATE_TEST_CASE("keys are bytes", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  auto& records = *store.records;
  const std::string nul("a\0b", 3);
  REQUIRE(apply(records, 1,
                {{"message", "b", "1"},
                 {"message", "B", "2"},
                 {"message", "\xC3\xA9", "3"},
                 {"message", "it's \"quoted\"; --", "4"},
                 {"message", nul, "5"},
                 {"message", "a", "6"},
                 {"message", "", "7"}}));
  CHECK(content(records) == Content{"message/=7", "message/B=2", "message/a=6",
                                    "message/" + nul + "=5", "message/b=1",
                                    "message/it's \"quoted\"; --=4", "message/\xC3\xA9=3"});
}

TEMPLATE_TEST_CASE("a refused change changes nothing", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  auto& records = *store.records;
  REQUIRE(apply(records, 5, {{"run", "1", "{}"}}));
  CHECK(apply(records, 6, {{"run", "2", "{}"}, {"Run", "3", "{}"}}).error().code == EINVAL);
  CHECK(apply(records, 6, {{"", "3", "{}"}}).error().code == EINVAL);
  CHECK(apply(records, 4, {{"run", "2", "{}"}}).error().code == EINVAL);
  CHECK(content(records) == Content{"run/1={}"});
  CHECK(records.reached().value() == Sequence{5});
}

TEMPLATE_TEST_CASE("a visitor's error ends the load", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  auto& records = *store.records;
  REQUIRE(apply(records, 1, {{"run", "1", "{}"}, {"run", "2", "{}"}, {"run", "3", "{}"}}));
  int seen = 0;
  const auto loaded = records.load([&](auto, auto key, auto) -> Status {
    ++seen;
    if (key == "2") return fail(EBADMSG, "run: {} is not understood", key);
    return ok();
  });
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().code == EBADMSG);
  CHECK(seen == 2);
  CHECK(apply(records, 2, {}));
}

TEMPLATE_TEST_CASE("a cleared store can be filled again", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  auto& records = *store.records;
  REQUIRE(apply(records, 9, {{"run", "1", "{}"}}));
  REQUIRE(records.clear());
  CHECK(records.reached().value() == Sequence{0});
  CHECK(content(records).empty());
  REQUIRE(apply(records, 1, {{"run", "1", "[]"}}));
  CHECK(content(records) == Content{"run/1=[]"});
}

TEMPLATE_TEST_CASE("thousands of objects in one change", "[records]", Sqlite, Memory, Decorated) {
  TestType store;
  std::vector<ObjectChange> changes;
  for (int i = 0; i < 5000; ++i) {
    changes.push_back({"message", fmt::format("{:06}", i), fmt::format("{{\"number\":{}}}", i)});
  }
  REQUIRE(store.records->apply(Sequence{5000}, changes));
  const auto all = content(*store.records);
  REQUIRE(all.size() == 5000);
  CHECK(all.front() == R"(message/000000={"number":0})");
  CHECK(all.back() == R"(message/004999={"number":4999})");
}

}  // namespace agentfs
