// SPDX-License-Identifier: MIT
// What a fork reads through is told by few records, however often its parent was rolled back.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "base/file.h"
#include "forest_fixture.h"

namespace agentfs::test {
namespace {

constexpr int kRounds = 120;  // more than one record can tell

std::string round_of(int round) { return fmt::format("round {}\n", round); }

// Each round has a directory of its own, which all states after it read by way of another.
std::vector<SnapshotId> roll_back_often(TestForest& forest) {
  std::vector<SnapshotId> states;
  forest.directory("main");
  for (int round = 0; round < kRounds; ++round) {
    const std::string place = fmt::format("main/d{}", round);
    forest.directory(place);
    forest.file(place + "/file", round_of(round));
    states.push_back(must(forest->snapshot("main", fmt::format("s{}", round))));
    forest.file("main/over", "over");
    must(forest->rollback("main", states.back()));
  }
  return states;
}

int records_in(const std::string& line) {
  int found = 0;
  for (const auto& record : std::filesystem::directory_iterator(line)) {
    found += record.path().filename().string().starts_with("source");
  }
  return found;
}

void check_rounds(TestForest& forest, const std::string& tree) {
  for (int round = 0; round < kRounds; ++round) {
    CHECK(forest.read(fmt::format("{}/d{}/file", tree, round)) == round_of(round));
  }
}

TEST_CASE("a fork of what was rolled back often takes few records, and reads all of it",
          "[forest]") {
  TestForest forest;
  roll_back_often(forest);
  must(forest->fork("main", "try"));
  const auto told = forest->info("try");
  REQUIRE(told);
  CHECK(told->has_sources);
  CHECK(records_in(forest.line(told->number)) <= 4);
  forest.open();
  check_rounds(forest, "try");
}

TEST_CASE("what a fork does not read any more is forgotten, one source of many", "[forest]") {
  TestForest forest;
  const std::vector<SnapshotId> states = roll_back_often(forest);
  must(forest->fork("main", "try"));
  for (std::size_t which = 0; which < states.size(); which += 2) {
    must(forest->drop(states[which]));
  }
  must(forest->drop("main"));
  must(forest->collect());
  forest.open();
  check_rounds(forest, "try");
  for (std::size_t which = 1; which < states.size(); which += 2) {
    must(forest->drop(states[which]));
  }
  must(forest->collect());
  must(forest->solidify(*forest.at("try"), true));
  must(forest->collect());
  forest.open();
  check_rounds(forest, "try");
  CHECK(must(forest->collect()) == 0);
}

// A state of a tree that was rolled back reads by way of the state before, until what it has in
// common with the tree is kept for it by itself.
TEST_CASE("a directory of a state that is known is read right when what it was found by is gone",
          "[forest]") {
  TestForest forest;
  forest.directory("main");
  forest.directory("main/d");
  forest.directory("main/d/e");
  forest.file("main/d/e/first", "first");
  const SnapshotId before = must(forest->snapshot("main", "before"));
  forest.file("main/d/e/other", "other");
  const SnapshotId undo = must(forest->rollback("main", before, "undo"));
  const SnapshotId kept = must(forest->snapshot("main", "kept"));
  const TreeNodeRef d = forest.in(must(forest->snapshot_root(kept)), "d");
  const TreeNodeRef e = forest.in(d, "e");
  CHECK(must(names_in(*forest, *e)) == std::vector<std::string>{"first"});

  forest.file("main/d/e/later", "later");
  must(forest->unlink(*forest.at("main/d/e"), "first", kMyself));
  must(forest->drop(before));
  must(forest->drop(undo));
  must(forest->collect());
  CHECK(must(names_in(*forest, *e)) == std::vector<std::string>{"first"});
  CHECK(read_file(*forest, *forest.in(e, "first")) == "first");
  CHECK(must(names_in(*forest, *forest.at("main/d/e"))) == std::vector<std::string>{"later"});
}

TEST_CASE("what could not be collected is collected the next time", "[forest]") {
  TestForest forest;
  forest.directory("p");
  forest.file("p/README", "first");
  must(forest->collect());
  const auto state = must(forest->snapshot("p", "one"));
  forest.write("p/README", "second");
  REQUIRE(forest->drop(state));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto refused = forest->collect();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(code_of(refused) == EMFILE);
  REQUIRE_FALSE(forest->is_loose());  // it has been tried: not at once again
  must(forest->collect());
  REQUIRE_FALSE(forest->is_loose());
  REQUIRE(std::filesystem::is_empty(forest.path("../hidden/trash")));
}

bool make_immutable(const std::string& path, bool wanted) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int flags = 0;
  if (!file || ::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) != 0) return false;
  flags = wanted ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  return ::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) == 0;
}

TEST_CASE("what cannot be removed keeps no room but its own", "[forest]") {
  TestForest forest;
  constexpr int kTrees = 12;  // in an order that the disk chooses
  for (int tree = 0; tree < kTrees; ++tree) {
    const std::string name = fmt::format("t{}", tree);
    forest.directory(name);
    forest.directory(name + "/below");
    for (int file = 0; file < 4; ++file) forest.file(fmt::format("{}/below/{}", name, file), "big");
  }
  forest.file("t5/below/stuck", "stuck");
  if (!make_immutable(forest.path("t5/below/stuck"), true)) {
    WARN("SKIPPED: this disk or user makes no file immutable");
    return;
  }
  for (int tree = 0; tree < kTrees; ++tree) must(forest->drop(fmt::format("t{}", tree)));
  const auto refused = forest->collect();
  std::vector<std::string> left;
  for (const auto& each :
       std::filesystem::recursive_directory_iterator(forest.path("../hidden/trash"))) {
    if (!each.is_directory()) left.push_back(each.path());
  }
  CHECK(code_of(refused) == EPERM);
  CHECK(left.size() == 1);
  CHECK_FALSE(forest->is_loose());
  forest.directory("later");
  must(forest->drop("later"));
  CHECK(forest->is_loose());
  for (const std::string& path : left) (void)make_immutable(path, false);
  must(forest->collect());
  CHECK(std::filesystem::is_empty(forest.path("../hidden/trash")));
}

}  // namespace
}  // namespace agentfs::test
