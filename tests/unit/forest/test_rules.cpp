// SPDX-License-Identifier: MIT
// What forks, snapshots and rollbacks promise, one by one.
#include <sys/xattr.h>

#include <cstdio>
#include <set>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

std::set<std::string> differences(TestForest& forest, const TreeNode& a, const TreeNode& b) {
  std::set<std::string> paths;
  REQUIRE(forest->compare(a, b, [&](const Difference& difference) {
    paths.insert(fmt::format("{}{}", "+-~"[static_cast<int>(difference.kind)], difference.path));
    return true;
  }));
  return paths;
}

void plant(TestForest& forest) {
  forest.directory("p");
  forest.directory("p/src");
  forest.directory("p/src/deep");
  forest.file("p/src/main.c", "main");
  forest.file("p/src/deep/util.c", "util");
  forest.file("p/README", "read me");
}

TEST_CASE("A tree that was never forked is a plain directory without marks") {
  TestForest forest;
  plant(forest);
  forest.write("p/README", "more");
  for (const char* name : {"p", "p/src", "p/README"}) {
    REQUIRE(::listxattr(forest.path(name).c_str(), nullptr, 0) == 0);
    struct stat plain{};
    REQUIRE(::lstat(forest.path(name).c_str(), &plain) == 0);
    REQUIRE(forest.stat(name).st_ino == plain.st_ino);
  }
}

TEST_CASE("Reading a fork makes nothing on the disk") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(forest.read("q/src/deep/util.c") == "util");
  REQUIRE(forest.stat("q/src").st_nlink == forest.stat("p/src").st_nlink);
  REQUIRE(std::filesystem::is_empty(forest.path("q")));
  REQUIRE(forest->counts().linked == 0);
  REQUIRE(forest->counts().filled == 0);
}

TEST_CASE("The first change in a directory of a fork fills the way to it and no more") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->fork("p", "q"));
  forest.write("q/src/main.c", "MAIN");
  REQUIRE(forest->counts().filled == 2);
  REQUIRE(std::filesystem::is_empty(forest.path("q/src/deep")));
  REQUIRE(forest.read("p/src/main.c") == "main");
  REQUIRE(forest->solidify(*forest.at("q"), true));
  REQUIRE(std::filesystem::exists(forest.path("q/src/deep/util.c")));
}

TEST_CASE("The tree that was forked stays a plain directory") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(forest->snapshot("p", "one"));
  forest.write("p/src/deep/util.c", "UTIL");
  REQUIRE(must(file::read(forest.path("p/src/deep/util.c"))) == "UTIL");
  REQUIRE(must(file::read(forest.path("p/src/main.c"))) == "main");
  REQUIRE(forest.read("q/src/deep/util.c") == "util");
}

TEST_CASE("Numbers and times are the same in a fork as in its parent, for git") {
  TestForest forest;
  plant(forest);
  const auto before = forest.stat("p/src/main.c");
  REQUIRE(forest->fork("p", "q"));
  forest.file("q/src/new", "");  // fills the directory
  forest.file("p/src/new", "");  // keeps it
  for (const char* name : {"p/src/main.c", "q/src/main.c"}) {
    for (const bool again : {false, true}) {
      if (again) forest.open();
      const auto now = forest.stat(name);
      REQUIRE((now.st_ino & 0xFFFFFFFFu) == (before.st_ino & 0xFFFFFFFFu));
      REQUIRE(now.st_ctim.tv_sec == before.st_ctim.tv_sec);
      REQUIRE(now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
      REQUIRE(now.st_nlink == 1);
    }
  }
  REQUIRE(forest.stat("p/src/main.c").st_ino == before.st_ino);
  REQUIRE(forest.stat("q/src/main.c").st_ino != before.st_ino);
  const auto number = forest.stat("q/src/main.c").st_ino;
  forest.write("q/src/main.c", "MAIN");
  REQUIRE(forest.stat("q/src/main.c").st_ino == number);
  forest.open();
  REQUIRE(forest.stat("q/src/main.c").st_ino == number);
}

TEST_CASE("A snapshot cannot be changed") {
  TestForest forest;
  plant(forest);
  const auto id = must(forest->snapshot("p", "one"));
  const auto root = must(forest->snapshot_root(id));
  const auto source = forest.in(root, "src");
  const auto main = forest.in(source, "main.c");
  SetAttributes wanted{.which = SetAttributes::mode};
  REQUIRE(code_of(forest->create(*root, "x", O_RDWR, 0644, kMyself)) == EROFS);
  REQUIRE(code_of(forest->make_directory(*source, "x", 0755, kMyself)) == EROFS);
  REQUIRE(code_of(forest->open(*main, O_WRONLY, kMyself)) == EROFS);
  REQUIRE(code_of(forest->open(*main, O_WRONLY | O_TRUNC, kMyself)) == EROFS);
  REQUIRE(code_of(forest->unlink(*source, "main.c", kMyself)) == EROFS);
  REQUIRE(code_of(forest->remove_directory(*source, "deep", kMyself)) == EROFS);
  REQUIRE(code_of(forest->rename(*source, "main.c", *root, "x", 0, kMyself)) == EROFS);
  REQUIRE(code_of(forest->set_attributes(*main, nullptr, wanted, kMyself)) == EROFS);
  REQUIRE(code_of(forest->set_xattr(*main, "user.x", "1", 0, kMyself)) == EROFS);
  REQUIRE(code_of(forest->lookup(*root, "..")) == 0);
  REQUIRE(read_file(*forest, *main) == "main");
}

TEST_CASE("A rollback can be undone, and what was open before can be read on") {
  TestForest forest;
  plant(forest);
  const auto first = must(forest->snapshot("p", "one"));
  forest.write("p/README", "second!");
  forest.file("p/src/new.c", "new");
  const auto open = must(forest->open(*forest.at("p/README"), O_RDWR, kMyself));
  const auto directory = forest.at("p/src");
  const auto root = forest.at("p");
  const auto undo = must(forest->rollback("p", first));
  REQUIRE(forest.read("p/README") == "read me");
  REQUIRE(code_of(forest->lookup(*forest.at("p/src"), "new.c")) == ENOENT);
  REQUIRE(forest.at("p") == root);
  REQUIRE(forest.content(*open) == "second!");
  REQUIRE(forest.write(*open, "third") == ESTALE);
  REQUIRE(code_of(forest->lookup(*directory, "new.c")) == 0);
  REQUIRE(code_of(forest->create(*directory, "x", O_RDWR, 0644, kMyself)) == ESTALE);
  forest.write("p/README", "READ");
  must(forest->rollback("p", undo));
  REQUIRE(forest.read("p/README") == "second!");
  REQUIRE(forest.read("p/src/new.c") == "new");
  REQUIRE(read_file(*forest, *forest.in(must(forest->snapshot_root(first)), "README")) ==
          "read me");
}

TEST_CASE("Who works in a directory is in the one that has its place after a rollback") {
  TestForest forest;
  forest->follow_rollbacks();
  plant(forest);
  const auto first = must(forest->snapshot("p", "one"));
  forest.write("p/src/deep/util.c", "UTIL");
  forest.file("p/src/new.c", "new");
  forest.directory("p/src/later");
  REQUIRE(forest->unlink(*forest.at("p/src"), "main.c", kMyself));
  const auto source = forest.at("p/src");
  const auto deep = forest.at("p/src/deep");
  const auto later = forest.at("p/src/later");
  const auto util = forest.at("p/src/deep/util.c");
  const auto file = must(forest->open(*util, O_RDWR, kMyself));
  const auto undo = must(forest->rollback("p", first));
  REQUIRE(forest->is_over(*util));
  REQUIRE(forest->host_path(*util) == forest.path("p/src/deep/util.c"));
  const auto left = forest->followers(*forest.at("p"));
  const std::set directories(left.directories.begin(), left.directories.end());
  REQUIRE(directories == std::set<TreeNodeRef>{source, deep, later});
  REQUIRE(std::set(left.paths.begin(), left.paths.end()) ==
          std::set<std::string>{"src/deep", "src/later"});
  REQUIRE(differences(forest, *must(forest->snapshot_root(undo)), *forest.at("p")).size() == 4);
  SECTION("when it is used itself") {
    REQUIRE(code_of(forest->lookup(*deep, "..")) == 0);
    REQUIRE(must(forest->lookup(*deep, "..")).node == source);
    REQUIRE(read_file(*forest, *forest.in(deep, "util.c")) == "util");
  }
  SECTION("when somebody comes by its path") {
    REQUIRE(forest.at("p/src") == source);
    REQUIRE(forest.at("p/src/deep") == deep);
  }
  REQUIRE(code_of(forest->lookup(*source, "new.c")) == ENOENT);
  REQUIRE(read_file(*forest, *forest.in(source, "main.c")) == "main");
  REQUIRE(code_of(forest->create(*later, "x", O_RDWR, 0644, kMyself)) == ESTALE);
  REQUIRE(forest.write(*file, "nowhere") == ESTALE);
  REQUIRE(make_file(*forest, *deep, "more.c", "more"));
  REQUIRE(forest.read("p/src/deep/more.c") == "more");
  must(forest->rollback("p", undo));
  REQUIRE(read_file(*forest, *forest.in(deep, "util.c")) == "UTIL");
  REQUIRE(forest.at("p/src/deep") == deep);
  REQUIRE(code_of(forest->lookup(*source, "main.c")) == ENOENT);
  forest.open();
  REQUIRE(forest.read("p/src/new.c") == "new");
}

TEST_CASE("What a dropped tree's forks read stays until they are gone") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(forest->fork("q", "r"));
  REQUIRE(forest->drop("p"));
  REQUIRE(forest->drop("q"));
  REQUIRE(forest->collect());
  forest.open();
  REQUIRE(forest.read("r/src/deep/util.c") == "util");
  REQUIRE(forest->family().size() == 3);
  REQUIRE(forest->drop("r"));
  REQUIRE(forest->collect());
  REQUIRE(forest->family().empty());
  REQUIRE(std::filesystem::is_empty(forest.path("../hidden/lines")));
  REQUIRE(std::filesystem::is_empty(forest.path("../hidden/trash")));
}

TEST_CASE("A dropped snapshot's room comes back") {
  TestForest forest;
  plant(forest);
  const auto one = must(forest->snapshot("p", "one"));
  forest.write("p/README", "second");
  REQUIRE(forest->snapshot("p", "two"));
  REQUIRE(must(forest->collect()) == 0);
  REQUIRE(forest->drop(one));
  REQUIRE(must(forest->collect()) == 1);
  REQUIRE(code_of(forest->snapshot_root(one)) == ENOENT);
  struct stat attributes{};
  REQUIRE(::lstat(forest.path("p/README").c_str(), &attributes) == 0);
  REQUIRE(attributes.st_nlink == 1);
}

TEST_CASE("A forest knows that something was given up since it collected") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->is_loose());  // from before it was opened, perhaps
  const auto collected = [&] { return must(forest->collect()) > 0 && !forest->is_loose(); };
  must(forest->collect());
  const auto state = must(forest->snapshot("p", "one"));
  forest.write("p/README", "second");
  REQUIRE(forest->fork("p", "q"));
  forest.directory("r");
  must(forest->fork("r", "s"));
  REQUIRE_FALSE(forest->is_loose());
  REQUIRE(forest->drop(state));
  REQUIRE(forest->is_loose());
  REQUIRE(collected());
  REQUIRE(forest->drop("q"));
  REQUIRE(forest->is_loose());
  REQUIRE(collected());
  REQUIRE(forest->remove_directory(*forest->root(), "s", kMyself));
  REQUIRE(forest->is_loose());
  REQUIRE(collected());
}

TEST_CASE("What a tree was taken back to goes when nothing of the tree reads it") {
  TestForest forest;
  plant(forest);
  const auto first = must(forest->snapshot("p", "one"));
  forest.write("p/src/deep/util.c", "second");
  REQUIRE(forest->unlink(*forest.at("p"), "README", kMyself));
  const auto undo = must(forest->rollback("p", first));
  REQUIRE(forest->drop(first));
  REQUIRE(forest->drop(undo));
  forest.write("p/src/main.c", "MAIN");
  must(forest->collect());
  forest.open();
  REQUIRE(forest.read("p/src/deep/util.c") == "util");
  REQUIRE(forest->solidify(*forest.at("p"), true));
  must(forest->collect());
  for (const auto& entry : std::filesystem::directory_iterator(forest.path("../hidden/lines/1"))) {
    CHECK(entry.path().filename().string().starts_with("hidden."));
  }
  forest.open();
  REQUIRE(forest.read("p/src/deep/util.c") == "util");
  REQUIRE(forest.read("p/README") == "read me");
}

TEST_CASE("What a fork reads by way of another one stays when it reads it itself") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->fork("p", "q"));
  forest.write("q/README", "q");
  REQUIRE(forest->fork("q", "r"));
  REQUIRE(forest->drop("p"));
  REQUIRE(forest->drop("q"));
  must(forest->collect());
  REQUIRE(forest.read("r/src/deep/util.c") == "util");
  forest.write("r/README", "r");
  must(forest->collect());
  forest.open();
  must(forest->collect());
  REQUIRE(forest.read("r/src/deep/util.c") == "util");
  forest.write("r/src/deep/util.c", "r");
  REQUIRE(forest->fork("r", "s"));
  REQUIRE(forest->drop("r"));
  must(forest->collect());
  REQUIRE(forest.read("s/src/main.c") == "main");
}

TEST_CASE("Between trees that share files there are no links and renames") {
  TestForest forest;
  plant(forest);
  forest.directory("z");
  REQUIRE(forest->rename(*forest.at("p"), "README", *forest.at("z"), "README", 0, kMyself));
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(code_of(forest->link(*forest.at("z/README"), *forest.at("q"), "x", kMyself)) == EXDEV);
  REQUIRE(code_of(forest->rename(*forest.at("q"), "src", *forest.at("z"), "x", 0, kMyself)) ==
          EXDEV);
  REQUIRE(code_of(forest->rename(*forest->root(), "z", *forest.at("q"), "z", 0, kMyself)) == EXDEV);
  REQUIRE(forest->rename(*forest->root(), "q", *forest->root(), "new", 0, kMyself));
  REQUIRE(forest.read("new/src/main.c") == "main");
  forest.open();
  REQUIRE(forest.read("new/src/main.c") == "main");
  REQUIRE(forest->fork("new", "newer"));
}

TEST_CASE("A hollow directory with entries is not removed as an empty one") {
  TestForest forest;
  plant(forest);
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(code_of(forest->remove_directory(*forest.at("q"), "src", kMyself)) == ENOTEMPTY);
  REQUIRE(code_of(forest->remove_directory(*forest->root(), "q", kMyself)) == ENOTEMPTY);
  forest.directory("q/empty");
  REQUIRE(code_of(forest->rename(*forest.at("q"), "empty", *forest.at("q"), "src", 0, kMyself)) ==
          ENOTEMPTY);
  REQUIRE(forest.read("q/src/deep/util.c") == "util");
}

TEST_CASE("What its owner may not write is forked, changed and taken back like the rest") {
  TestForest forest;
  plant(forest);
  const auto protect = [&](const std::string& path, mode_t mode) {
    SetAttributes wanted{.which = SetAttributes::mode};
    wanted.values.st_mode = mode;
    REQUIRE(forest->set_attributes(*forest.at(path), nullptr, wanted, kMyself));
  };
  protect("p/src/main.c", 0444);
  protect("p/src/deep/util.c", 0444);
  protect("p/src", 0555);
  const auto state = must(forest->snapshot("p", "one"));
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(forest->unlink(*forest.at("q/src/deep"), "util.c", kMyself));
  REQUIRE(forest.stat("q/src").st_mode == (S_IFDIR | 0555));
  protect("p/src/main.c", 0644);
  forest.write("p/src/main.c", "MAIN");
  REQUIRE(forest.stat("p/src").st_mode == (S_IFDIR | 0555));
  REQUIRE(forest.read("q/src/main.c") == "main");
  REQUIRE(forest.stat("q/src/main.c").st_mode == (S_IFREG | 0444));
  REQUIRE(forest.read("p/src/deep/util.c") == "util");
  must(forest->rollback("p", state));
  REQUIRE(forest.read("p/src/main.c") == "main");
  protect("p/src/main.c", 0644);
  REQUIRE(forest->drop("q"));
  REQUIRE(forest->drop(state));
  REQUIRE(forest->collect());
  REQUIRE(forest.read("p/src/deep/util.c") == "util");
}

TEST_CASE("Comparing tells what differs and looks nowhere else") {
  TestForest forest;
  plant(forest);
  const auto base = must(forest->fork("p", "q"));
  const auto before = must(forest->snapshot_root(base));
  REQUIRE(differences(forest, *before, *forest.at("q")).empty());
  forest.write("q/src/main.c", "MAIN");
  forest.file("q/src/new.c", "new");
  REQUIRE(forest->unlink(*forest.at("q"), "README", kMyself));
  REQUIRE(differences(forest, *before, *forest.at("q")) ==
          std::set<std::string>{"~src/main.c", "+src/new.c", "-README"});
  REQUIRE(differences(forest, *before, *forest.at("p")).empty());
}

TEST_CASE("Snapshots cost the same, however many there are") {
  TestForest forest;
  forest.directory("p");
  for (const char* name : {"p/a", "p/b"}) forest.directory(name);
  for (int i = 0; i < 20; ++i) forest.file(fmt::format("p/a/{}", i), "x");
  ForestCounts first{};
  ForestCounts before{};
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(forest->snapshot("p", ""));
    forest.write("p/a/7", fmt::format("{}", i));
    const ForestCounts now = forest->counts();
    if (i == 1)
      first = {
          .filled = 0, .saved = now.saved - before.saved, .linked = now.linked - before.linked};
    if (i > 0) {
      REQUIRE(now.saved - before.saved == first.saved);
      REQUIRE(now.linked - before.linked == first.linked);
    }
    before = now;
  }
  REQUIRE(first.linked == 20);
  const SnapshotId early{forest->family()[0].number, 2};
  REQUIRE(read_file(*forest, *forest.in(forest.in(must(forest->snapshot_root(early)), "a"), "7")) ==
          "0");
}

}  // namespace
}  // namespace agentfs::test
