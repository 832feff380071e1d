// SPDX-License-Identifier: MIT
// Nodes that end in one thread while they are found in another.
#include <atomic>
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

}  // namespace
}  // namespace agentfs::test
