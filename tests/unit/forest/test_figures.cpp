// SPDX-License-Identifier: MIT
// What forks cost, as figures: unit_forest "[.figures]".
#include <chrono>
#include <cstdio>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

constexpr int kDirectories = 1000;
constexpr int kFiles = 20;  // in each

double milliseconds(const std::function<void()>& act) {
  const auto start = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

void plant(TestForest& forest) {
  const auto root = forest.directory("p");
  for (int i = 0; i < kDirectories; ++i) {
    const auto directory = make_directory(*forest, *root, fmt::format("{}", i));
    for (int j = 0; j < kFiles; ++j) make_file(*forest, *directory, fmt::format("{}", j), "x");
  }
}

double disk_use(const std::string& path) {
  double blocks = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    struct stat attributes{};
    if (::lstat(entry.path().c_str(), &attributes) == 0 && attributes.st_nlink < 3) {
      blocks += static_cast<double>(attributes.st_blocks);
    }
  }
  return blocks / 2048;
}

// Looks every file up and asks its attributes.
void walk(TestForest& forest, const TreeNodeRef& root) {
  for (int i = 0; i < kDirectories; ++i) {
    const auto directory = forest.in(root, fmt::format("{}", i));
    for (int j = 0; j < kFiles; ++j) {
      const auto entry = forest->lookup(*directory, fmt::format("{}", j));
      if (!entry || !forest->attributes(*entry->node)) FAIL("a file is gone");
    }
  }
}

TEST_CASE("Figures of forks", "[.figures]") {
  TestForest forest;
  plant(forest);
  constexpr double kCount = kDirectories * kFiles;
  const auto tell = [](const char* what, double value, const char* unit) {
    fmt::print("{:<44} {:8.2f} {}\n", what, value, unit);
  };
  const auto walked = [&](const std::string& name) {
    const auto root = forest.at(name);
    return milliseconds([&] { walk(forest, root); }) * 1000 / kCount;
  };
  tell("lookup+getattr, never forked", walked("p"), "us");
  tell("fork of 20,000 files", milliseconds([&] { must(forest->fork("p", "q")); }), "ms");
  tell("lookup+getattr, the parent", walked("p"), "us");
  tell("lookup+getattr, hollow", walked("q"), "us");
  SnapshotId state;
  tell("checkpoint", milliseconds([&] { state = must(forest->snapshot("p", "")); }), "ms");
  forest.write("p/7/7", "changed");
  tell("rollback", milliseconds([&] { must(forest->rollback("p", state)); }), "ms");
  const double all = milliseconds([&] { must(forest->solidify(*forest.at("q"), true)); });
  tell("solidify, an entry", all * 1000 / (kCount + kDirectories), "us");
  tell("lookup+getattr, a solid fork", walked("q"), "us");
  const double before = disk_use(forest.path(".."));
  const double forks = milliseconds([&] {
    for (int i = 0; i < 1000; ++i) must(forest->fork("q", fmt::format("f{}", i)));
  });
  tell("each of 1,000 forks", forks / 1000, "ms");
  tell("the disk's room that they take", disk_use(forest.path("..")) - before, "MiB");
}

}  // namespace
}  // namespace agentfs::test
