// SPDX-License-Identifier: MIT
// What the store in a file promises beyond every store.
#include <algorithm>

#include "backends/sqlite/connection.h"
#include "backends/sqlite/sqlite.h"
#include "catch.h"
#include "support/temporary.h"
#include "unit/stores/killed.h"

namespace agentfs {
namespace {

using sqlite::Connection;

struct Store {
  test::TemporaryDirectory directory;
  std::string path = directory.path("agentfs.sqlite");
  std::unique_ptr<RecordStore> open() const { return open_sqlite(path).value(); }
};

Status put(RecordStore& records, std::uint64_t reached, std::string json) {
  const ObjectChange change{"process", "7", std::move(json)};
  return records.apply(Sequence{reached}, {&change, 1});
}

std::string only_object(RecordStore& records) {
  std::string found;
  REQUIRE(records.load([&](auto, auto, auto json) {
    found = json;
    return ok();
  }));
  return found;
}

// First column of the first row, as a person with a shell of their own would see it.
std::string ask(const std::string& path, std::string_view sql) {
  const auto connection = Connection::open(path);
  REQUIRE(connection);
  auto statement = connection->prepare(sql);
  REQUIRE(statement);
  REQUIRE(statement->step().value());
  return std::string(statement->text(0));
}

}  // namespace

TEST_CASE("a store is found again", "[sqlite]") {
  const Store store;
  REQUIRE(put(*store.open(), 12, R"({"state":"idle"})"));
  const auto records = store.open();
  CHECK(records->reached().value() == Sequence{12});
  CHECK(only_object(*records) == R"({"state":"idle"})");
  CHECK(records->check());
}

TEST_CASE("others can read an open store, as columns too", "[sqlite]") {
  const Store store;
  const auto records = store.open();
  REQUIRE(put(*records, 1, R"({"name":"fixer","state":"running","parent":1,"other":[]})"));
  CHECK(ask(store.path, "SELECT name || ' ' || state || ' ' || (parent + 1) FROM process") ==
        "fixer running 2");
  CHECK(ask(store.path, "SELECT coalesce(model, 'none') FROM process WHERE key = '7'") == "none");
  CHECK(ask(store.path, "SELECT count(*) FROM message, call, run") == "0");
  CHECK(ask(store.path, "SELECT value FROM meta WHERE name = 'reached'") == "1");
  CHECK(ask(store.path, "PRAGMA journal_mode") == "wal");
  struct stat attributes{};
  REQUIRE(::stat(store.path.c_str(), &attributes) == 0);
  CHECK((attributes.st_mode & 0777) == 0600);
}

TEST_CASE("views follow the program, not the file", "[sqlite]") {
  const Store store;
  REQUIRE(put(*store.open(), 1, R"({"name":"fixer"})"));
  REQUIRE(Connection::open(store.path)
              ->run("DROP VIEW process; CREATE VIEW process AS SELECT 1 AS old; DROP VIEW call"));
  const auto records = store.open();
  CHECK(ask(store.path, "SELECT name FROM process") == "fixer");
  CHECK(ask(store.path, "SELECT count(*) FROM call") == "0");
}

TEST_CASE("a newer format is refused and left alone", "[sqlite]") {
  const Store store;
  REQUIRE(put(*store.open(), 1, "{}"));
  REQUIRE(Connection::open(store.path)->run("PRAGMA user_version = 2; DROP VIEW call"));
  const std::string before = test::slurp(store.path);
  const auto records = open_sqlite(store.path);
  REQUIRE_FALSE(records);
  CHECK(records.error().code == ENOTSUP);
  CHECK_THAT(records.error().message, Catch::Matchers::has("format 2"));
  CHECK(test::slurp(store.path) == before);
}

TEST_CASE("another program's database is refused and left alone", "[sqlite]") {
  const Store store;
  REQUIRE(Connection::open(store.path)->run("CREATE TABLE photo (name)"));
  const std::string before = test::slurp(store.path);
  CHECK(open_sqlite(store.path).error().code == EBADMSG);
  CHECK(test::slurp(store.path) == before);
}

TEST_CASE("a file that is no database is set aside on request", "[sqlite]") {
  const Store store;
  const std::string garbage(8192, '#');
  test::spit(store.path, garbage);
  const auto refused = open_sqlite(store.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBADMSG);
  const auto records = replace_damaged_sqlite(store.path);
  REQUIRE(records);
  CHECK((*records)->reached().value() == Sequence{0});
  CHECK(test::slurp(store.path + ".damaged-1") == garbage);
}

TEST_CASE("damage is found, and cleared without losing the evidence", "[sqlite]") {
  const Store store;
  {
    const auto records = store.open();
    std::vector<ObjectChange> changes;
    for (int i = 0; i < 2000; ++i) {
      changes.push_back(
          {"message", fmt::format("{:05}", i), std::string("\"") + std::string(200, 'x') + "\""});
    }
    REQUIRE(records->apply(Sequence{2000}, changes));
  }
  std::string bytes = test::slurp(store.path);
  REQUIRE(bytes.size() > 40 * 4096);
  std::fill(bytes.begin() + 20 * 4096, bytes.begin() + 30 * 4096, '\xA5');
  test::spit(store.path, bytes);
  const auto records = store.open();
  CHECK(records->check().error().code == EBADMSG);
  CHECK(records->load([](auto, auto, auto) { return ok(); }).error().code == EBADMSG);
  REQUIRE(records->clear());
  CHECK(records->check());
  CHECK(std::filesystem::exists(store.path + ".damaged-1"));
  REQUIRE(put(*records, 1, "{}"));
  CHECK(only_object(*records) == "{}");
}

TEST_CASE("what is cleared is kept, also where it is whole", "[sqlite]") {
  const Store store;
  const auto records = store.open();
  REQUIRE(put(*records, 1, R"({"kept":1})"));
  REQUIRE(records->clear());
  CHECK(records->reached().value() == Sequence{});
  const auto before = open_sqlite(store.path + ".damaged-1");
  REQUIRE(before);
  CHECK(only_object(**before) == R"({"kept":1})");
}

TEST_CASE("text that is not JSON is found by the check", "[sqlite]") {
  const Store store;
  const auto records = store.open();
  REQUIRE(put(*records, 1, "{not json"));
  const auto checked = records->check();
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == EBADMSG);
  CHECK_THAT(checked.error().message, Catch::Matchers::has("process 7"));
}

TEST_CASE("SQLite's failures have our names", "[sqlite]") {
  const Store store;
  SECTION("a full disk") {
    const auto connection = Connection::open(store.path);
    REQUIRE(connection->run("PRAGMA max_page_count = 3; CREATE TABLE t (x)"));
    const auto full = connection->run("INSERT INTO t VALUES (zeroblob(100000))");
    REQUIRE_FALSE(full);
    CHECK(full.error().code == ENOSPC);
    CHECK_THAT(full.error().message, Catch::Matchers::has(store.path));
  }
  SECTION("another writer") {
    const auto records = store.open();
    const auto connection = Connection::open(store.path);
    REQUIRE(connection->run("PRAGMA busy_timeout = 0"));
    const auto other = Connection::open(store.path);
    sqlite::Transaction transaction(*other);
    REQUIRE(transaction.begin());
    CHECK(connection->run("DELETE FROM object").error().code == EBUSY);
  }
  SECTION("no such directory") {
    CHECK(open_sqlite(store.directory.path("none/agentfs.sqlite")).error().code == ENOENT);
  }
}

TEST_CASE("what apply acknowledged survives kill -9", "[sqlite]") {
  const Store store;
  std::unique_ptr<RecordStore> killed;  // opened by the child
  const auto acknowledged = test::run_and_kill(200, [&](std::uint64_t n) {
    if (!killed) killed = store.open();
    return put(*killed, n, fmt::format("{}", n)).has_value();
  });
  REQUIRE(acknowledged >= 200);
  const auto records = store.open();
  const auto reached = records->reached().value();
  CHECK(reached.value >= acknowledged);
  CHECK(only_object(*records) == fmt::format("{}", reached.value));
  CHECK(records->check());
}

}  // namespace agentfs
