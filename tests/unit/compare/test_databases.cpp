// SPDX-License-Identifier: MIT
// A database and its log, of which each side has changed one.
#include "merging.h"

namespace agentfs::test {
namespace {

const std::string kDatabase = std::string("SQLite format 3\0", 16) + std::string(84, 'x');

class WithDatabase : public ThreeTrees {
 public:
  WithDatabase() {
    write("base", "db", kDatabase);
    write("base", "text", "no database\n");
    fork();
  }
};

TEST_CASE("A database and its log that both sides changed are a conflict, never put together") {
  for (const char* const log : {"-wal", "-journal"}) {
    for (const bool is_theirs : {false, true}) {
      WithDatabase trees;
      const std::string one = is_theirs ? "theirs" : "ours";
      const std::string other = is_theirs ? "ours" : "theirs";
      INFO(log << " in " << one);
      trees.write(one, fmt::format("db{}", log), "pages");
      trees.write(other, "db", kDatabase + "more");
      CHECK(trees.conflicts() == fmt::format("binary db{}\n", is_theirs ? log : ""));
      const Status merged = trees.merge();
      REQUIRE(!merged);
      CHECK(merged.error().code == EBUSY);
    }
  }
}

TEST_CASE("A database that one side renamed, and a log of it on the other, are a conflict") {
  for (const bool is_theirs : {false, true}) {
    WithDatabase trees;
    const std::string one = is_theirs ? "theirs" : "ours";
    const std::string other = is_theirs ? "ours" : "theirs";
    INFO("renamed in " << one);
    fs::rename(trees.path(one, "db"), trees.path(one, "data"));
    trees.write(other, "db-wal", "pages");
    CHECK(trees.conflicts() == (is_theirs ? "binary data\n" : "binary db-wal\n"));
    const Status merged = trees.merge();
    REQUIRE(!merged);
    CHECK(merged.error().code == EBUSY);
  }
}

TEST_CASE("A database that ours renamed gets what theirs wrote into it") {
  WithDatabase trees;
  fs::rename(trees.path("ours", "db"), trees.path("ours", "data"));
  trees.write("ours", "text-wal", "a text\n");
  trees.write("theirs", "db", kDatabase + "more");
  CHECK(trees.conflicts().empty());
  must(trees.merge());
}

TEST_CASE("A log that says nothing, and one of no database, are in no merge's way") {
  WithDatabase trees;
  trees.write("ours", "db-wal", "");
  trees.write("ours", "db-shm", "index");
  trees.write("ours", "text-wal", "a text, too\n");
  trees.write("theirs", "db", kDatabase + "more");
  trees.write("theirs", "text", "changed\n");
  CHECK(trees.conflicts().empty());
  must(trees.merge());
}

}  // namespace
}  // namespace agentfs::test
