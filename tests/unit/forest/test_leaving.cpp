// SPDX-License-Identifier: MIT
// A tree that is dropped is out of its place before that is told, and has it again where it is not.
#include <sys/wait.h>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

void plant(TestForest& forest) {
  forest.directory("p");
  forest.directory("p/d");
  forest.file("p/d/f", "p's");
  REQUIRE(forest->fork("p", "q"));
  forest.write("q/d/f", "q's");
  REQUIRE(forest->fork("q", "r"));
}

void check_whole(TestForest& forest) {
  CHECK(forest.read("p/d/f") == "p's");
  CHECK(forest.read("q/d/f") == "q's");
  CHECK(forest.read("r/d/f") == "q's");
  CHECK(forest->info("q"));
}

TEST_CASE("A drop that cannot be told has not happened") {
  TestForest forest({.file_handles = GENERATE(true, false)});
  plant(forest);
  const auto open = must(forest->open(*forest.at("q/d/f"), O_RDWR, kMyself));
  const auto tell = [&]() -> Status {
    CHECK(code_of(forest->lookup(*forest->root(), "q")) == ENOENT);
    CHECK(forest.read("r/d/f") == "q's");
    CHECK(forest->collect());
    return fail(ENOSPC, "no room to tell it");
  };
  CHECK(code_of(forest->drop("q", tell)) == ENOSPC);
  check_whole(forest);
  CHECK(forest.write(*open, "goes on") == 0);
  CHECK(forest.read("q/d/f") == "goes on");
  CHECK(forest.read("r/d/f") == "q's");
  CHECK(std::filesystem::exists(forest.path("q")));
  CHECK(forest->drop("q", [] { return ok(); }));
  CHECK(forest.read("r/d/f") == "q's");
  CHECK(code_of(forest->lookup(*forest->root(), "q")) == ENOENT);
  CHECK(forest->drop("r"));
  CHECK(forest->drop("p"));
  CHECK(forest->collect());
  CHECK(std::filesystem::is_empty(forest.path("../hidden/lines")));
}

void die_while_told(TestForest& forest) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)forest->drop("q", []() -> Status { ::_exit(0); });
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

TEST_CASE("A tree that a crash found out of its place has it again") {
  TestForest forest;
  plant(forest);
  die_while_told(forest);
  CHECK_FALSE(std::filesystem::exists(forest.path("q")));
  forest.open();
  check_whole(forest);
  CHECK(forest->drop("q"));
}

TEST_CASE(
    "What has the place of a tree that was out of it bars nothing, and nothing is collected") {
  TestForest forest;
  plant(forest);
  die_while_told(forest);
  std::filesystem::create_directory(forest.path("q"));
  forest.open();
  CHECK(forest.read("p/d/f") == "p's");
  CHECK(forest.read("r/d/f") == "q's");
  CHECK(code_of(forest->lookup(*forest.at("q"), "d")) == ENOENT);
  CHECK(forest->collect());
  std::filesystem::remove(forest.path("q"));
  forest.open();
  check_whole(forest);
}

}  // namespace
}  // namespace agentfs::test
