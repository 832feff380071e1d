// SPDX-License-Identifier: MIT
// Numbers that the disk gives again.
#include <set>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

ino_t inode_of(TestForest& forest, const std::string& path) { return forest.stat(path).st_ino; }

ino_t listed_inode_of(TestForest& forest, const std::string& directory, const std::string& name) {
  ino_t found = 0;
  const auto open = must(forest->open_directory(*forest.at(directory)));
  must(forest->read_directory(*open, 0, [&](const TreeStore::DirectoryEntry& entry) {
    if (entry.name == name) found = entry.inode;
    return true;
  }));
  return found;
}

ino_t disk_inode_of(TestForest& forest, const std::string& path) {
  struct stat found{};
  REQUIRE(::lstat(forest.path(path).c_str(), &found) == 0);
  return found.st_ino;
}

// Makes things in `q` until one has that inode of the disk; "": the disk does not give it again.
std::string reuse(TestForest& forest, ino_t inode, bool directories) {
  constexpr int kMost = 2'000;
  for (int i = 0; i < kMost; ++i) {
    const std::string path = fmt::format("q/{}", i);
    directories ? forest.directory(path) : forest.file(path, "new");
    if (disk_inode_of(forest, path) == inode) return path;
  }
  return {};
}

}  // namespace

TEST_CASE("no two things have one number, though the disk gives that of a removed directory again",
          "[disk]") {
  int given_again = 0;
  for (const bool directories : {true, false}) {
    for (const bool rolled_back_first : {true, false}) {
      CAPTURE(directories, rolled_back_first);
      TestForest forest;
      for (const char* const tree : {"p", "q", "p/d"}) forest.directory(tree);
      const ino_t inode = inode_of(forest, "p/d");
      const SnapshotId state = must(forest->snapshot("p", "s"));
      REQUIRE(forest->remove_directory(*forest.at("p"), "d", kMyself));
      if (rolled_back_first) must(forest->rollback("p", state, "undo"));
      const std::string other = reuse(forest, inode, directories);
      if (other.empty()) continue;
      ++given_again;
      if (!rolled_back_first) must(forest->rollback("p", state, "undo"));
      const ino_t shown = inode_of(forest, "p/d");
      const ino_t shown_of_other = inode_of(forest, other);
      CHECK(shown != shown_of_other);
      const auto check = [&] {
        CHECK(inode_of(forest, "p/d") == shown);
        CHECK(inode_of(forest, other) == shown_of_other);
      };
      forest.file("p/d/f", "makes it solid");
      check();
      forest.open();
      check();
    }
  }
  if (given_again == 0) WARN("SKIPPED: this disk does not give the number again");
}

TEST_CASE("what a rollback brings back has its number, though something older had that, too",
          "[disk]") {
  TestForest forest;
  for (const char* const tree : {"p", "q", "p/d"}) forest.directory(tree);
  const ino_t inode = inode_of(forest, "p/d");
  must(forest->snapshot("p", "s"));
  REQUIRE(forest->remove_directory(*forest.at("p"), "d", kMyself));
  const std::string other = reuse(forest, inode, true);
  if (other.empty()) {
    WARN("SKIPPED: this disk does not give the number again");
    return;
  }
  forest.file(other + "/f", "kept");
  const ino_t shown = inode_of(forest, other);
  const SnapshotId state = must(forest->snapshot("q", "s"));
  for (int again = 0; again < 2; ++again) {
    must(forest->rollback("q", state, fmt::format("undo-{}", again)));
    CHECK(inode_of(forest, other) == shown);
    forest.file(other + "/g", "makes it solid");
    CHECK(inode_of(forest, other) == shown);
    forest.open();
    CHECK(inode_of(forest, other) == shown);
  }
}

TEST_CASE("a file keeps its number when the disk gives that again, and none other has it",
          "[disk]") {
  TestForest forest;
  for (const char* const tree : {"p", "q"}) forest.directory(tree);
  forest.file("p/f", "one");
  const ino_t shown = inode_of(forest, "p/f");
  REQUIRE(forest->fork("p", "p-fork"));
  const auto known = forest.at("p/f");  // as by who has it open
  forest.write("p/f", "two");
  REQUIRE(forest->drop("p-fork"));
  REQUIRE(forest->collect());
  const std::string other = reuse(forest, shown, false);
  if (other.empty()) {
    WARN("SKIPPED: this disk does not give the number again");
    return;
  }
  const auto check = [&] {
    CHECK(listed_inode_of(forest, "q", other.substr(2)) == inode_of(forest, other));
    CHECK(inode_of(forest, "p/f") == shown);
    CHECK(inode_of(forest, other) != shown);
    REQUIRE(forest->fork("q", "q-fork"));
    const std::string of_fork = "q-fork" + other.substr(1);
    CHECK((inode_of(forest, of_fork) & 0xFFFFFFFFU) == inode_of(forest, other));
    REQUIRE(forest->drop("q-fork"));
  };
  check();
  const ino_t shown_of_other = inode_of(forest, other);
  forest.open();
  check();
  CHECK(inode_of(forest, other) == shown_of_other);
  forest.write(other, "of an inode of its own, since there was a fork");
  CHECK(inode_of(forest, other) == shown_of_other);
}

// As a commit does in a repository, past the forest.
TEST_CASE("a directory made on the disk is never what another one of its number was kept as",
          "[disk]") {
  const bool has_handles = GENERATE(true, false);
  CAPTURE(has_handles);
  TestForest forest({.file_handles = has_handles});
  for (const char* const name : {"p", "p/objects"}) forest.directory(name);
  constexpr int kMany = 100;
  std::set<ino_t> gone;
  for (int i = 0; i < kMany; ++i) {
    const std::string path = fmt::format("p/{}", i);
    forest.directory(path);
    forest.file(path + "/secret", "secret");
    gone.insert(inode_of(forest, path));
  }
  const SnapshotId state = must(forest->snapshot("p", "s"));
  for (int i = 0; i < kMany; ++i) {
    const std::string name = fmt::format("{}", i);
    REQUIRE(forest->unlink(*forest.at("p/" + name), "secret", kMyself));
    REQUIRE(forest->remove_directory(*forest.at("p"), name, kMyself));
  }
  std::set<std::string> again;
  for (int i = 0; i < kMany; ++i) {
    const std::string name = fmt::format("{:02x}", i);
    std::filesystem::create_directory(forest.path("p/objects/" + name));
    struct stat made{};
    REQUIRE(::lstat(forest.path("p/objects/" + name).c_str(), &made) == 0);
    if (gone.contains(made.st_ino)) again.insert(name);
  }
  if (again.empty()) WARN("SKIPPED: this disk does not give the number again");
  REQUIRE(forest->fork(state, "q"));
  for (const std::string& name : again) {
    CAPTURE(name);
    CHECK(!forest->lookup(*forest.at("q/objects/" + name), "secret"));
    forest.file("p/objects/" + name + "/later", "later");
    CHECK(!forest->lookup(*forest.at("q/objects/" + name), "secret"));
    CHECK(!forest->lookup(*forest.at("q/objects/" + name), "later"));
    REQUIRE(forest->unlink(*forest.at("p/objects/" + name), "later", kMyself));
    REQUIRE(forest->remove_directory(*forest.at("p/objects"), name, kMyself));
    CHECK(!forest->lookup(*forest.at("q/objects/" + name), "later"));
  }
  for (int i = 0; i < kMany; ++i) CHECK(forest.read(fmt::format("q/{}/secret", i)) == "secret");
}

}  // namespace agentfs::test
