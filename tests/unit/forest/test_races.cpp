// SPDX-License-Identifier: MIT
// Nodes that end in one thread while they are found in another.
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

// What is not on the disk yet is known by its node alone.
TEST_CASE("A directory of a fork is found whole while others let go of it") {
  constexpr int kRounds = 3'000;
  TestForest forest;
  forest.directory("p");
  forest.directory("p/d");
  forest.directory("p/d/e");
  forest.file("p/d/e/f", "content");
  REQUIRE(forest->fork("p", "q"));
  std::atomic<int> missed = 0;
  const auto look = [&] {
    for (int round = 0; round < kRounds; ++round) {
      Result<TreeEntry> entry = forest->lookup(*forest->root(), "q");
      for (const char* name : {"d", "e", "f"}) {
        if (entry) entry = forest->lookup(*entry->node, name);
      }
      if (!entry || entry->attributes.st_size != 7) ++missed;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(look);
  }
  CHECK(missed == 0);
}

// Who works in it, and a rollback that is to take it along, know it by its node.
TEST_CASE("A directory of a fork stays the same one while names are removed elsewhere") {
  constexpr int kRounds = 3'000;
  TestForest forest;
  for (const char* path : {"p", "p/d", "p/d/e", "other"}) forest.directory(path);
  REQUIRE(forest->fork("p", "q"));
  const TreeNodeRef held = forest.at("q/d");
  const TreeNodeRef above = forest.at("q");
  const TreeNodeRef other = forest.at("other");
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  {
    const std::jthread remover([&] {
      while (!done) {
        if (!forest->create(*other, "f", O_WRONLY, 0600, kMyself)) ++wrong;
        if (!forest->unlink(*other, "f", kMyself)) ++wrong;
      }
    });
    for (int round = 0; round < kRounds; ++round) {
      const auto found = forest->lookup(*above, "d");
      if (!found || found->node != held) ++wrong;
    }
    done = true;
  }
  CHECK(wrong == 0);
}

// ext4 gives the number of a directory that was removed to the next one at once.
TEST_CASE("A directory that gets the number of one made since the snapshot is kept for it") {
  TestForest forest;
  forest.directory("p");
  for (const char* path : {"p/d", "p/d/e", "p/d/e/g"}) forest.directory(path);
  forest.file("p/d/e/g/f", "as it was");
  const SnapshotId state = must(forest->snapshot("p", "s"));
  REQUIRE(forest->rollback("p", state));
  forest.directory(
      "p/other");  // what lies beside it is on the disk from now on, not yet what is below
  REQUIRE(forest->fork("p", "q"));
  for (int i = 0; i < 8; ++i) forest.directory(fmt::format("p/stage-{}", i));
  for (int i = 0; i < 8; ++i) {
    REQUIRE(forest->remove_directory(*forest.at("p"), fmt::format("stage-{}", i), kMyself));
  }
  forest.write("p/d/e/g/f", "is");
  CHECK(forest.read("q/d/e/g/f") == "as it was");
  CHECK(forest.read("p/d/e/g/f") == "is it was");
}

TEST_CASE("A file gets an inode of its own while others open and close it") {
  constexpr int kRounds = 400;
  TestForest forest;
  forest.directory("p");
  const TreeNodeRef shared = forest.file("p/f", std::string(200'000, 'f'));
  const TreeNodeRef other = forest.file("other", "other");
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  const auto open_and_close = [&](const TreeNodeRef& node, char first) {
    while (!done) {
      std::vector<std::unique_ptr<TreeFile>> files;
      for (int i = 0; i < 100; ++i) {
        files.push_back(forest->open(*node, O_RDONLY, kMyself).value_or(nullptr));
      }
      for (const auto& file : files) {
        char byte = 0;
        if (file == nullptr || ::pread(file->descriptor(), &byte, 1, 0) != 1 || byte != first) {
          ++wrong;
        }
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.emplace_back(open_and_close, shared, 'f');
    threads.emplace_back(open_and_close, shared, 'f');
    threads.emplace_back(open_and_close, other, 'o');
    for (int round = 0; round < kRounds; ++round) {
      const auto state = forest->snapshot("p", "s");
      const auto file = forest->open(*shared, O_RDWR, kMyself);
      if (!state || !file || forest.write(**file, "f") != 0 || !forest->drop(*state)) ++wrong;
    }
    done = true;
  }
  CHECK(wrong == 0);
}

// A path is asked for where a change is told: what was restored into it was told of no path.
TEST_CASE("A directory has its one name or its other at any instant of an exchange or a rename") {
  constexpr int kRounds = 3'000;
  TestForest forest;
  for (const char* path : {"p", "p/d", "p/e"}) forest.directory(path);
  const TreeNodeRef top = forest.at("p");
  const TreeNodeRef held[] = {forest.at("p/d"), forest.at("p/e")};
  const std::set<std::string> names = {forest.path("p/d"), forest.path("p/e"), forest.path("p/g")};
  std::atomic<bool> done = false;
  std::set<std::string> others;
  int refused = 0;
  {
    const std::jthread teller([&] {
      while (!done) {
        for (const TreeNodeRef& node : held) {
          const std::string path = forest->host_path(*node);
          if (!names.contains(path)) others.insert(path);
        }
      }
    });
    for (int round = 0; round < kRounds; ++round) {
      if (!forest->rename(*top, "d", *top, "e", RENAME_EXCHANGE, kMyself)) ++refused;
      if (!forest->rename(*top, "d", *top, "g", 0, kMyself)) ++refused;
      if (!forest->rename(*top, "g", *top, "d", 0, kMyself)) ++refused;
    }
    done = true;
  }
  INFO((others.empty() ? "" : *others.begin()));
  CHECK(others.empty());
  CHECK(refused == 0);
}

TEST_CASE("Who works in a directory is never in another one while its tree is rolled back") {
  constexpr int kRounds = 300;
  TestForest forest;
  forest->follow_rollbacks();
  for (const char* path : {"p", "p/d", "p/d/e"}) forest.directory(path);
  forest.file("p/d/e/f", "one");
  const SnapshotId one = must(forest->snapshot("p", "one"));
  forest.write("p/d/e/f", "two");
  const SnapshotId two = must(forest->snapshot("p", "two"));
  const TreeNodeRef root = forest.at("p");
  const TreeNodeRef held = forest.at("p/d/e");
  const std::uint64_t number = held->inode();
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  const auto work_there = [&] {
    while (!done) {
      const auto entry = forest->lookup(*held, "f");
      const auto listing = names_in(*forest, *held);
      const std::string place = forest->host_path(*held);
      const bool is_there = entry && entry->attributes.st_size == 3 && listing &&
                            *listing == std::vector<std::string>{"f"} && !place.empty();
      if (!is_there) ++wrong;
    }
  };
  const auto come_by = [&] {
    while (!done) {
      Result<TreeEntry> entry = forest->lookup(*root, "d");
      if (entry) entry = forest->lookup(*entry->node, "e");
      if (!entry || entry->node->inode() != number) ++wrong;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back(work_there);
    threads.emplace_back(come_by);
    for (int round = 0; round < kRounds; ++round) {
      const auto undo = forest->rollback("p", round % 2 == 0 ? one : two);
      if (undo) {
        const auto before = forest->snapshot_root(*undo);
        if (!before || !forest->compare(**before, *root, [](const auto&) { return true; })) ++wrong;
      }
      if (!undo || !forest->drop(*undo)) ++wrong;
    }
    done = true;
  }
  CHECK(wrong == 0);
  CHECK(forest.read("p/d/e/f") == "two");
}

// A rollback may come between any two changes: what was made is of the state that is over then.
TEST_CASE("Who changes a directory while its tree is rolled back changes the state that is") {
  constexpr int kRounds = 300;
  TestForest forest;
  forest->follow_rollbacks();
  for (const char* path : {"p", "p/d"}) forest.directory(path);
  const SnapshotId state = must(forest->snapshot("p", "s"));
  const TreeNodeRef held = forest.at("p/d");
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  {
    const std::jthread worker([&] {
      const auto is_wrong = [](const Status& made) { return !made && made.error().code != ENOENT; };
      while (!done) {
        if (!forest->create(*held, "new", O_WRONLY, 0600, kMyself)) ++wrong;
        if (is_wrong(forest->rename(*held, "new", *held, "newer", 0, kMyself))) ++wrong;
        if (is_wrong(forest->unlink(*held, "newer", kMyself))) ++wrong;
      }
    });
    for (int round = 0; round < kRounds; ++round) {
      const auto undo = forest->rollback("p", state);
      if (!undo || !forest->drop(*undo)) ++wrong;
    }
    done = true;
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace agentfs::test
