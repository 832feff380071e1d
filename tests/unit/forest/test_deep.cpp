// SPDX-License-Identifier: MIT
// Directories deeper than a stack has room for.
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "backends/trees/disk_files.h"
#include "backends/trees/forest_check.h"
#include "base/file.h"
#include "forest_fixture.h"

namespace agentfs::test {
namespace {

constexpr int kDeep = 4'000;

// On a stack that has no room for a frame a level.
void on_a_small_stack(const std::function<void()>& work) {
  constexpr std::size_t kStack = 512 << 10;
  pthread_attr_t small{};
  pthread_t thread{};
  REQUIRE(::pthread_attr_init(&small) == 0);
  REQUIRE(::pthread_attr_setstacksize(&small, kStack) == 0);
  const auto run = [](void* given) -> void* {
    (*static_cast<const std::function<void()>*>(given))();
    return nullptr;
  };
  void* const given = const_cast<std::function<void()>*>(&work);
  REQUIRE(::pthread_create(&thread, &small, run, given) == 0);
  REQUIRE(::pthread_join(thread, nullptr) == 0);
  ::pthread_attr_destroy(&small);
}

// `d` in `d` in … below `top`; the last of them.
UniqueFd make_deep(const std::string& top, int levels) {
  UniqueFd at(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int level = 0; level < levels; ++level) {
    if (::mkdirat(at.get(), "d", 0755) != 0) FAIL("mkdirat: " << errno_name(errno));
    at = UniqueFd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  return at;
}

void remove_deep(const std::string& directory, const std::string& name) {
  const UniqueFd at(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  must(trees::remove_whole(at.get(), name));
}

}  // namespace

TEST_CASE("what is deeper than descriptors and the stack go is removed") {
  const TemporaryDirectory place;
  const std::string top = place.path("top");
  REQUIRE(::mkdir(top.c_str(), 0755) == 0);
  const UniqueFd last = make_deep(top, kDeep);
  REQUIRE(::close(::openat(last.get(), "file", O_CREAT | O_WRONLY, 0644)) == 0);
  on_a_small_stack([&] { remove_deep(place.path(), "top"); });
  CHECK(std::filesystem::is_empty(place.path()));
}

TEST_CASE("a fork of a tree that deep is written to at its bottom, and every name is found") {
  TestForest forest;
  forest.directory("p");
  const UniqueFd last = make_deep(forest.path("p"), kDeep);
  const UniqueFd file(::openat(last.get(), "one", O_CREAT | O_RDWR, 0644));
  REQUIRE(::write(file.get(), "old", 3) == 3);
  REQUIRE(::linkat(last.get(), "one", AT_FDCWD, forest.path("p/other").c_str(), 0) == 0);
  must(forest->fork("p", "f"));
  // By the name at the top: the one at the bottom is looked for.
  on_a_small_stack([&] { forest.write("p/other", "new"); });
  TreeNodeRef at = forest.at("f");
  for (int level = 0; level < kDeep; ++level) at = forest.in(at, "d");
  on_a_small_stack([&] { make_file(*forest, *at, "made", "bytes"); });
  CHECK(read_file(*forest, *forest.in(at, "one")) == "old");
  TreeNodeRef own = forest.at("p");
  for (int level = 0; level < kDeep; ++level) own = forest.in(own, "d");
  CHECK(read_file(*forest, *forest.in(own, "one")) == "new");
  for (const char* const tree : {"p", "f"}) remove_deep(forest.path("."), tree);
}

TEST_CASE("a tree that deep is checked, and the marks that it has lost are found") {
  TestForest forest;
  forest.directory("p");
  const UniqueFd last = make_deep(forest.path("p"), kDeep);
  REQUIRE(::mkdirat(last.get(), "hollow", 0755) == 0);
  const UniqueFd inner(::openat(last.get(), "hollow", O_PATH | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(::close(::openat(inner.get(), "file", O_CREAT | O_WRONLY, 0644)) == 0);
  must(forest->fork("p", "f"));
  TreeNodeRef at = forest.at("f");
  for (int level = 0; level < kDeep; ++level) at = forest.in(at, "d");
  make_file(*forest, *at, "made", "bytes");
  const std::string hidden = std::filesystem::path(forest.line(1)).parent_path().parent_path();
  Findings found;
  on_a_small_stack([&] { found = must(check_forest(forest.path("."), hidden)); });
  CHECK(found.problems.empty());
  UniqueFd bottom(::open(forest.path("f").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int level = 0; level < kDeep; ++level) {
    bottom = UniqueFd(::openat(bottom.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  const UniqueFd lost(::openat(bottom.get(), "hollow", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const char* const mark = is_root() ? "trusted.agentfs.hollow" : "user.agentfs.forest.hollow";
  REQUIRE(::fremovexattr(lost.get(), mark) == 0);
  on_a_small_stack([&] { found = must(check_forest(forest.path("."), hidden)); });
  REQUIRE(found.problems.size() == 1);
  CHECK(found.problems.front().contains("has lost the mark"));
  for (const char* const tree : {"p", "f"}) remove_deep(forest.path("."), tree);
}

TEST_CASE("what a deep tree was taken back to goes when nothing of the tree reads it") {
  constexpr int kLevels = 240;
  TestForest forest;
  std::string deep = "p";
  forest.directory(deep);
  for (int level = 0; level < kLevels; ++level) forest.directory(deep += "/d");
  forest.file(deep + "/leaf", "first");
  forest.file("p/big", "much");
  const auto first = must(forest->snapshot("p", "c"));
  const auto undo = must(forest->rollback("p", first));
  forest.write(deep + "/leaf", "second");
  must(forest->unlink(*forest.at("p"), "big", kMyself));
  must(forest->drop(first));
  must(forest->drop(undo));
  must(forest->collect());
  using Entries = std::filesystem::recursive_directory_iterator;
  const auto is_big = [](const auto& entry) { return entry.path().filename() == "big"; };
  CHECK(std::ranges::none_of(Entries(forest.path("../hidden")), is_big));
  forest.open();
  CHECK(forest.read(deep + "/leaf") == "second");
}

}  // namespace agentfs::test
