// SPDX-License-Identifier: MIT
// The times of what a merge brings: what goes by them builds again what it has to.
#include <fcntl.h>

#include "base/nanoseconds.h"
#include "merging.h"

namespace agentfs::test {
namespace {

constexpr std::int64_t kLongAgo = 1'000'000'000 * kNanoseconds;

class Stamped : public Merging {
 public:
  // As of so many seconds after `kLongAgo`.
  void set_time(const std::string& tree, const std::string& below, int second) const {
    const timespec time = time_of(kLongAgo + second * kNanoseconds);
    const timespec times[2] = {time, time};
    REQUIRE(::utimensat(AT_FDCWD, path(tree, below).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  std::int64_t time(const std::string& below) const {
    struct stat found{};
    REQUIRE(::lstat(path("ours", below).c_str(), &found) == 0);
    return nanoseconds_of(found.st_mtim);
  }
  static std::int64_t now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return nanoseconds_of(now);
  }
};

TEST_CASE("What a merge writes over has new times, in the order of theirs") {
  Stamped trees;
  for (const char* const name : {"a", "b", "c", "d/e"}) trees.write("theirs", name, "changed\n");
  trees.set_time("theirs", "a", 300);
  trees.set_time("theirs", "b", 100);
  trees.set_time("theirs", "c", 200);
  trees.set_time("theirs", "d/e", 200);
  const std::int64_t began = Stamped::now();
  trees.check_merged();
  CHECK(trees.time("b") >= began);
  CHECK(trees.time("b") < trees.time("c"));
  CHECK(trees.time("c") == trees.time("d/e"));
  CHECK(trees.time("c") < trees.time("a"));
  CHECK(trees.time("a") < Stamped::now() + kNanoseconds);
}

TEST_CASE("What a merge adds is as old as in theirs") {
  Stamped trees;
  trees.write("theirs", "new", "new\n");
  trees.sh("mv theirs/a theirs/moved && echo more >> theirs/moved");
  trees.set_time("theirs", "new", 50);
  trees.set_time("theirs", "moved", 60);
  trees.check_merged();
  CHECK(trees.time("new") == kLongAgo + 50 * kNanoseconds);
  CHECK(trees.time("moved") == kLongAgo + 60 * kNanoseconds);
}

TEST_CASE("Links, FIFOs and directories that a merge adds are as old as in theirs") {
  Stamped trees;
  trees.sh("mkdir -p theirs/new/deep && echo new > theirs/new/deep/file && mkdir theirs/empty");
  trees.sh("ln -s file theirs/new/link && mkfifo theirs/new/fifo && ln -sf d theirs/was-link");
  trees.sh("ln -s b ours/was-link && ln -s b base/was-link && touch -hd@1 ours/was-link");
  const std::vector<std::string> names = {"new/deep", "new/link", "new/fifo", "new", "empty"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    trees.set_time("theirs", names[i], 10 * static_cast<int>(i));
  }
  trees.set_time("theirs", "was-link", 90);
  const std::int64_t began = Stamped::now();
  const MergeSides sides = trees.sides();
  const auto record =
      must(trees.merger->stage(sides, must(trees.merger->plan(sides, {})), {.durable = false}));
  must(trees.merger->apply(sides.ours, record));
  CHECK(must(trees.merger->freshen(sides.ours, record)).size() == 3);
  for (std::size_t i = 0; i < names.size(); ++i) {
    INFO(names[i]);
    CHECK(trees.time(names[i]) == kLongAgo + 10 * static_cast<int>(i) * kNanoseconds);
  }
  CHECK(trees.time("was-link") >= began);
  must(trees.merger->finish(sides.ours, record, {}));
}

TEST_CASE("A file of several names that is written over is new under each of them") {
  Stamped trees;
  trees.sh("ln base/a base/f && rm -rf ours theirs && cp -a base ours && cp -a base theirs");
  trees.sh("echo more >> theirs/a && mv theirs/f theirs/g");
  const std::int64_t began = Stamped::now();
  trees.check_merged();
  CHECK(trees.time("a") >= began);
  CHECK(trees.time("g") == trees.time("a"));
}

TEST_CASE("Lines of both sides are new") {
  Stamped trees;
  trees.write("ours", "a", lines("a", 1));
  trees.write("theirs", "a", lines("a", 9));
  trees.set_time("ours", "a", 10);
  trees.set_time("theirs", "a", 20);
  const std::int64_t began = Stamped::now();
  trees.check_merged();
  CHECK(trees.time("a") >= began);
}

TEST_CASE("What is built of an old file while a merge goes on is older than the new one") {
  Stamped trees;
  trees.write("theirs", "a", "changed\n");
  trees.write("theirs", "b", "changed\n");
  trees.write("theirs", "c", "changed\n");
  trees.set_time("theirs", "a", 20);
  trees.set_time("theirs", "b", 10);
  const MergeSides sides = trees.sides();
  const auto record =
      must(trees.merger->stage(sides, must(trees.merger->plan(sides, {})), {.durable = false}));
  must(trees.merger->apply(sides.ours, record));
  const std::int64_t ready = trees.time("b");
  trees.write("ours", "c", "somebody's\n");
  const std::int64_t theirs = trees.time("c");
  while (Stamped::now() <= std::max(ready, theirs)) {
  }
  const std::int64_t end = Stamped::now();
  for (int i = 0; i < 2; ++i) {  // and again after a crash
    CHECK(must(trees.merger->freshen(sides.ours, record)).size() == (i == 0 ? 2 : 0));
    CHECK(trees.time("b") >= end);
    CHECK(trees.time("b") < trees.time("a"));
    CHECK(trees.time("c") == theirs);
  }
  must(trees.merger->finish(sides.ours, record, {}));
}

}  // namespace
}  // namespace agentfs::test
