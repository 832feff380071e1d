// SPDX-License-Identifier: MIT
// Directories of many entries, which are kept and filled in parts.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

constexpr int kMany = 4'000;

std::set<std::string> names_in(Forest& forest, const TreeNode& directory) {
  std::set<std::string> names;
  const auto open = must(forest.open_directory(directory));
  must(forest.read_directory(*open, 0, [&](const TreeStore::DirectoryEntry& entry) {
    if (entry.name != "." && entry.name != "..") names.insert(entry.name);
    return true;
  }));
  return names;
}

void make_many(TestForest& forest, const std::string& directory, int count) {
  const TreeNodeRef node = forest.directory(directory);
  for (int i = 0; i < count; ++i) make_file(*forest, *node, fmt::format("f{}", i), "old");
}

// Whether somebody else found `change` under way with some of its work done, and not all.
bool lets_others_look(TestForest& forest, const std::function<void()>& change,
                      std::uint64_t ForestCounts::* work = &ForestCounts::linked,
                      std::uint64_t all = kMany) {
  const std::uint64_t before = forest->counts().*work;
  std::atomic<bool> done = false;
  bool was_amid = false;
  std::jthread looker([&] {
    while (!done) {
      const std::uint64_t made = forest->counts().*work - before;
      was_amid |= made > 0 && made < all;
    }
  });
  change();
  done = true;
  looker.join();
  CHECK(forest->counts().*work - before == all);
  return was_amid;
}

TEST_CASE("Others go on while a directory of many files is kept before its first change") {
  TestForest forest({.part = std::chrono::microseconds(200)});
  forest.directory("p");
  make_many(forest, "p/d", kMany);
  const SnapshotId state = must(forest->snapshot("p", "s"));
  CHECK(lets_others_look(forest, [&] { forest.write("p/d/f7", "new"); }));
  const TreeNodeRef kept = must(forest->snapshot_root(state));
  CHECK(names_in(*forest, *forest.in(kept, "d")).size() == kMany);
  CHECK(read_file(*forest, *forest.in(forest.in(kept, "d"), "f7")) == "old");
  CHECK(forest.read("p/d/f7") == "new");
}

TEST_CASE("Others go on while a directory of many files is filled in a fork") {
  TestForest forest({.part = std::chrono::microseconds(200)});
  forest.directory("p");
  make_many(forest, "p/d", kMany);
  REQUIRE(forest->fork("p", "q"));
  CHECK(lets_others_look(forest, [&] { forest.file("q/d/own", "new"); }));
  CHECK(names_in(*forest, *forest.at("q/d")).size() == kMany + 1);
  CHECK(names_in(*forest, *forest.at("p/d")).size() == kMany);
}

TEST_CASE("Others go on while a fork of many files is made a plain directory") {
  TestForest forest({.part = std::chrono::microseconds(200)});
  make_many(forest, "p", kMany);
  REQUIRE(forest->fork("p", "q"));
  CHECK(lets_others_look(forest, [&] { REQUIRE(forest->solidify(*forest.at("q"), true)); }));
}

TEST_CASE("Others go on while the way to a file far down in a fork is filled") {
  constexpr int kLevels = 400;
  TestForest forest({.part = std::chrono::microseconds(200)});
  TreeNodeRef node = forest.directory("p");
  for (int i = 0; i < kLevels; ++i) node = make_directory(*forest, *node, "d");
  make_file(*forest, *node, "f", "old");
  REQUIRE(forest->fork("p", "q"));
  TreeNodeRef bottom = forest.at("q");
  for (int i = 0; i < kLevels; ++i) bottom = forest.in(bottom, "d");
  CHECK(lets_others_look(
      forest, [&] { make_file(*forest, *bottom, "own", "new"); }, &ForestCounts::filled,
      kLevels + 1));
  CHECK(read_file(*forest, *forest.in(bottom, "f")) == "old");
  CHECK(read_file(*forest, *forest.in(bottom, "own")) == "new");
}

// Of a directory with files and directories, what each holds.
class Rounds {
 public:
  static constexpr int kFiles = 40;
  static constexpr int kDirectories = 20;
  using Values = std::map<std::string, std::string>;

  explicit Rounds(TestForest& forest) : forest_(forest) {
    for (const char* path : {"p", "p/d"}) forest_.directory(path);
    for (int i = 0; i < kFiles; ++i) forest_.file(fmt::format("p/d/f{}", i), "");
    for (int i = 0; i < kDirectories; ++i) {
      forest_.directory(fmt::format("p/d/s{}", i));
      forest_.file(fmt::format("p/d/s{}/f", i), "");
    }
  }
  void set_all(const std::string& value) {
    for (int i = 0; i < kDirectories; ++i) forest_.write(fmt::format("p/d/s{}/f", i), value);
    for (int i = 0; i < kFiles; ++i) forest_.write(fmt::format("p/d/f{}", i), value);
  }
  // By the names in "d", but for those that `set_all` does not know.
  Values values(const TreeNodeRef& root) {
    Values found;
    const TreeNodeRef d = forest_.in(root, "d");
    for (const std::string& name : names_in(*forest_, *d)) {
      TreeNodeRef node = forest_.in(d, name);
      if (node->type() == S_IFDIR) node = forest_.in(node, "f");
      const bool is_own = name.starts_with("own");
      found[name] = is_own ? "own" : read_file(*forest_, *node).substr(0, 4);
    }
    return found;
  }
  static std::set<std::string> values_of(const Values& all) {
    std::set<std::string> values;
    for (const auto& [name, value] : all) values.insert(value);
    values.erase("own");
    return values;
  }

 private:
  TestForest& forest_;
};

void keep_and_change(TestForest& forest, int most_rounds) {
  Rounds rounds(forest);
  std::map<SnapshotId, Rounds::Values> kept;
  const auto check_kept = [&] {
    for (const auto& [state, values] : kept) {
      CHECK(rounds.values(must(forest->snapshot_root(state))) == values);
    }
  };
  for (int round = 0; round < most_rounds; ++round) {
    const std::string now = fmt::format("{:04}", round * 2);
    const std::string next = fmt::format("{:04}", round * 2 + 1);
    rounds.set_all(now);
    const std::string fork = fmt::format("q{}", round);
    const SnapshotId before = must(forest->snapshot("p", "before"));
    REQUIRE(forest->fork(before, fork));
    const TreeNodeRef top = forest.at(fork);
    const TreeNodeRef own = forest.at(fork + "/d");
    const TreeNodeRef parents = forest.at("p/d");
    SnapshotId amid;
    {
      std::jthread writer([&] { rounds.set_all(next); });
      std::jthread maker([&] { make_file(*forest, *parents, fmt::format("own{}", round)); });
      std::jthread forker([&] { make_file(*forest, *own, "mine"); });
      std::jthread mover([&] {
        for (const auto& [from, to] : {std::pair("d", "e"), std::pair("e", "d")}) {
          CHECK(forest->rename(*top, from, *top, to, 0, kMyself));
        }
      });
      amid = must(forest->snapshot("p", "amid"));
    }
    kept[before] = rounds.values(must(forest->snapshot_root(before)));
    CHECK(Rounds::values_of(kept[before]) == std::set{now});
    kept[amid] = rounds.values(must(forest->snapshot_root(amid)));
    for (const std::string& one : Rounds::values_of(kept[amid])) CHECK((one == now || one == next));
    CHECK(Rounds::values_of(rounds.values(forest.at("p"))) == std::set{next});
    CHECK(names_in(*forest, *own).size() == kept[before].size() + 1);
    check_kept();
  }
  forest.open();
  check_kept();
}

TEST_CASE("What is kept in parts is what it was, whatever others do between two") {
  TestForest forest({.part = std::chrono::nanoseconds(0)});
  keep_and_change(forest, 25);
}

TEST_CASE("What is kept in parts is what it was where directories are found by their names") {
  TestForest forest({.file_handles = false, .part = std::chrono::nanoseconds(0)});
  keep_and_change(forest, 10);
}

// Of a file that nobody may link, as a disk that is full does to all; false: it is of a disk that
// has no such files.
bool set_immutable(const std::string& path, bool wanted) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int flags = 0;
  if (!file || ::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) != 0) return false;
  flags = wanted ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  return ::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) == 0;
}

TEST_CASE("a directory that cannot be filled keeps its mode", "[forest]") {
  const TemporaryDirectory base;
  const std::string trees = base.path("trees");
  std::filesystem::create_directory(trees);
  auto forest = must(open_forest(trees, base.path("hidden")));
  const auto main = make_directory(*forest, *forest->root(), "main");
  const auto closed = make_directory(*forest, *main, "closed");
  make_file(*forest, *closed, "file", "one");
  SetAttributes mode{.which = SetAttributes::mode};
  mode.values.st_mode = 0500;
  must(forest->set_attributes(*closed, nullptr, mode, kMyself));
  const SnapshotId state = must(forest->snapshot("main", "state"));
  make_file(*forest, *main, "later", "later");
  must(forest->rollback("main", state));
  const auto again = must(forest->lookup(*forest->root(), "main")).node;
  make_file(*forest, *again, "new", "new");  // closed is on the disk now, and hollow
  std::vector<std::string> files;
  for (const auto& each : std::filesystem::recursive_directory_iterator(base.path("hidden"))) {
    if (each.path().filename() == "file") files.push_back(each.path());
  }
  REQUIRE(!files.empty());
  if (!set_immutable(files.front(), true)) {
    WARN("SKIPPED: this disk or user makes no file immutable");
    return;
  }
  const auto node = must(forest->lookup(*again, "closed")).node;
  CHECK_FALSE(forest->make_directory(*node, "new", S_IFDIR | 0755, kMyself));
  struct stat its{};
  CHECK(::stat((trees + "/main/closed").c_str(), &its) == 0);
  CHECK((its.st_mode & 07777) == 0500);
  REQUIRE(set_immutable(files.front(), false));
  CHECK(forest->make_directory(*node, "new", S_IFDIR | 0755, kMyself).has_value() ==
        (::geteuid() == 0));
}

}  // namespace
}  // namespace agentfs::test
