// SPDX-License-Identifier: MIT
// Extended attributes of somebody else's that leave the forest's marks no room.
#include <algorithm>
#include <map>

#include "backends/trees/forest_check.h"
#include "forest_fixture.h"

namespace agentfs::test {
namespace {

constexpr int kMost = 40'000;  // bytes: disks with more room than that take whatever comes

// Attributes of the user's until the disk takes not a byte more, in ever smaller steps; how many.
int fill(TestForest& forest, const std::string& path) {
  int count = 0;
  int bytes = 0;
  for (const int size : {1000, 200, 50, 10, 1}) {
    for (; bytes < kMost; ++count, bytes += size) {
      const std::string name = fmt::format("user.{}", count);
      const std::string value(static_cast<std::size_t>(size), 'x');
      const Status set = forest->set_xattr(*forest.at(path), name, value, 0, kMyself);
      if (!set) REQUIRE(set.error().code == ENOSPC);
      if (!set) break;
    }
  }
  return count;
}

int count_of(TestForest& forest, const std::string& path) {
  const std::string names = must(forest->list_xattr(*forest.at(path)));
  return static_cast<int>(std::ranges::count(names, '\0'));
}

// A directory, a file in it and a directory in that with another, all of them full.
struct Full {
  TestForest forest;
  std::map<std::string, int> counts;

  explicit Full(bool trusted = true) : forest({.trusted = trusted}) {
    forest.directory("p");
    forest.directory("p/d");
    forest.directory("p/d/e");
    forest.file("p/d/f", "bytes");
    forest.file("p/d/e/g", "other bytes");
    for (const char* const path : {"d", "d/e", "d/f", "d/e/g"}) {
      counts[path] = fill(forest, fmt::format("p/{}", path));
    }
  }

  // All that was given is there, and what is not touched.
  void check(const std::string& tree) {
    for (const auto& [path, count] : counts) {
      CAPTURE(tree, path);
      CHECK(count_of(forest, tree + "/" + path) == count);
    }
  }
  void change(const std::string& tree) {
    forest.write(tree + "/d/f", "BYTES");
    forest.write(tree + "/d/e/g", "OTHER");
    forest.file(tree + "/d/e/new", "new");
    forest.file(tree + "/d/new", "new");
  }
  void check_changed(const std::string& tree) {
    CHECK(forest.read(tree + "/d/f") == "BYTES");
    CHECK(forest.read(tree + "/d/e/g") == "OTHER bytes");
    CHECK(forest.read(tree + "/d/e/new") == "new");
    check(tree);
  }
  void check_old(const std::string& tree) {
    CHECK(forest.read(tree + "/d/f") == "bytes");
    CHECK(forest.read(tree + "/d/e/g") == "other bytes");
    CHECK_FALSE(forest->lookup(*forest.at(tree + "/d/e"), "new"));
    check(tree);
  }
  void remove(const std::string& tree) {
    for (const char* const path : {"f", "new", "e/g", "e/new"}) {
      const std::filesystem::path whole(fmt::format("{}/d/{}", tree, path));
      REQUIRE(forest->unlink(*forest.at(whole.parent_path()), whole.filename(), kMyself));
    }
    REQUIRE(forest->remove_directory(*forest.at(tree + "/d"), "e", kMyself));
    REQUIRE(forest->remove_directory(*forest.at(tree), "d", kMyself));
  }
};

}  // namespace

TEST_CASE("what extended attributes fill is changed and removed in a fork, and in its parent",
          "[disk]") {
  for (const auto& [fork_first, trusted] :
       {std::pair(true, true), {false, true}, {true, false}, {false, false}}) {
    CAPTURE(fork_first, trusted);
    Full full(trusted);
    must(full.forest->fork("p", "q"));
    const std::string first = fork_first ? "q" : "p";
    const std::string second = fork_first ? "p" : "q";
    full.change(first);
    full.check_changed(first);
    full.check_old(second);
    full.forest.open();
    full.check_changed(first);
    full.check_old(second);
    full.change(second);
    full.forest.open();
    full.check_changed(second);
    full.remove(first);
    full.check_changed(second);
    full.remove(second);
  }
}

TEST_CASE("what extended attributes fill keeps its number and its time of change in a fork",
          "[disk]") {
  Full full;
  const auto was = full.forest.stat("p/d/f");
  must(full.forest->fork("p", "q"));
  full.forest.file("q/d/new", "new");
  const auto is = full.forest.stat("q/d/f");
  CHECK((is.st_ino & 0xFFFFFFFFu) == (was.st_ino & 0xFFFFFFFFu));
  CHECK(is.st_nlink == 1);
  CHECK(is.st_ctim.tv_nsec == was.st_ctim.tv_nsec);
  full.forest.write("q/d/f", "BYTES");
  full.forest.open();
  CHECK((full.forest.stat("q/d/f").st_ino & 0xFFFFFFFFu) == (was.st_ino & 0xFFFFFFFFu));
  CHECK(full.forest.stat("p/d/f").st_ctim.tv_nsec == was.st_ctim.tv_nsec);
}

TEST_CASE("a state to go back to is there where extended attributes fill what it has", "[disk]") {
  Full full;
  const SnapshotId state = must(full.forest->snapshot("p", "s"));
  full.change("p");
  must(full.forest->rollback("p", state, "undo"));
  full.check_old("p");
  full.forest.open();
  full.check_old("p");
  full.change("p");
  full.check_changed("p");
}

TEST_CASE("as many attributes fit on a file of a fork as on one that was never forked", "[disk]") {
  TestForest forest;
  forest.directory("p");
  forest.file("p/f", "bytes");
  forest.directory("r");
  forest.file("r/f", "bytes");
  must(forest->fork("p", "q"));
  CHECK(fill(forest, "q/f") == fill(forest, "r/f"));
  CHECK(forest.stat("q/f").st_nlink == 1);
  CHECK(count_of(forest, "p/f") == 0);
}

TEST_CASE("what stands in for an inode that has gone goes at the next start", "[disk]") {
  if (!is_root()) {
    WARN("SKIPPED: only root is told by a handle that an inode has gone");
    return;
  }
  Full full;
  must(full.forest->fork("p", "q"));
  full.change("q");
  const auto stand_ins = [&] {
    const auto apart =
        std::filesystem::path(full.forest.line(1)).parent_path().parent_path() / "apart";
    return std::distance(std::filesystem::directory_iterator(apart), {});
  };
  if (stand_ins() == 0) {
    WARN("SKIPPED: this disk has room for all attributes");
    return;
  }
  must(full.forest->drop("q"));
  for (const char* const path : {"f", "e/g"}) {
    const std::filesystem::path whole(fmt::format("p/d/{}", path));
    REQUIRE(full.forest->unlink(*full.forest.at(whole.parent_path()), whole.filename(), kMyself));
  }
  REQUIRE(full.forest->remove_directory(*full.forest.at("p/d"), "e", kMyself));
  REQUIRE(full.forest->remove_directory(*full.forest.at("p"), "d", kMyself));
  must(full.forest->collect());
  full.forest.open();
  must(full.forest->collect());
  full.forest.open();
  CHECK(stand_ins() == 0);
}

}  // namespace agentfs::test
