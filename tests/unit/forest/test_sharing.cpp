// SPDX-License-Identifier: MIT
// Files that trees share: no byte crosses, whoever opens and writes in which order.
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "forest_fixture.h"

namespace agentfs::test {
namespace {

enum class Way { write, cut, rename_over, unlink, truncate };
constexpr Way kWays[] = {Way::write, Way::cut, Way::rename_over, Way::unlink, Way::truncate};

// What the file is afterwards; nothing: it is gone.
std::optional<std::string> change(TestForest& forest, const std::string& tree, Way way) {
  SetAttributes wanted{.which = SetAttributes::size};
  switch (way) {
    case Way::write:
      forest.write(tree + "/d/f", "XX");
      return "XXd content";
    case Way::cut:
      must(forest->open(*forest.at(tree + "/d/f"), O_WRONLY | O_TRUNC, kMyself));
      return "";
    case Way::rename_over:
      forest.file(tree + "/d/new", "new");
      REQUIRE(
          forest->rename(*forest.at(tree + "/d"), "new", *forest.at(tree + "/d"), "f", 0, kMyself));
      return "new";
    case Way::unlink:
      REQUIRE(forest->unlink(*forest.at(tree + "/d"), "f", kMyself));
      return std::nullopt;
    case Way::truncate:
      wanted.values.st_size = 3;
      REQUIRE(forest->set_attributes(*forest.at(tree + "/d/f"), nullptr, wanted, kMyself));
      return "old";
  }
  return std::nullopt;
}

void check(TestForest& forest, const std::string& tree, const std::optional<std::string>& content) {
  const auto found = forest->lookup(*forest.at(tree + "/d"), "f");
  REQUIRE(found.has_value() == content.has_value());
  if (content) REQUIRE(read_file(*forest, *found->node) == *content);
}

TEST_CASE("No change of a shared file is seen in another tree, whoever makes it first") {
  const std::string old = "old content";
  for (const Way first : kWays) {
    for (const Way second : kWays) {
      for (const bool fork_first : {false, true}) {
        TestForest forest;
        forest.directory("p");
        forest.directory("p/d");
        forest.file("p/d/f", old);
        REQUIRE(forest->fork("p", "q"));
        const auto readers = {must(forest->open(*forest.at("p/d/f"), O_RDONLY, kMyself)),
                              must(forest->open(*forest.at("q/d/f"), O_RDONLY, kMyself))};
        (void)readers;
        const std::string a = fork_first ? "q" : "p";
        const std::string b = fork_first ? "p" : "q";
        const auto after = change(forest, a, first);
        check(forest, a, after);
        check(forest, b, old);
        const auto last = change(forest, b, second);
        check(forest, a, after);
        check(forest, b, last);
      }
    }
  }
}

TEST_CASE("A fork after a change that failed shows nothing of what its parent does later") {
  TestForest forest;
  for (const char* const name : {"p", "p/d", "q"}) forest.directory(name);
  forest.file("p/d/x", "one");
  REQUIRE(forest->fork("p", "f"));
  const auto moved = forest->rename(*forest.at("p/d"), "x", *forest.at("q"), "x", 0, kMyself);
  REQUIRE_FALSE(moved);  // from one tree to another
  REQUIRE(forest->drop("f"));
  must(forest->collect());
  REQUIRE(forest->fork("p", "g"));
  forest.write("p/d/x", "two");
  forest.file("p/d/new", "new");
  CHECK(forest.read("g/d/x") == "one");
  CHECK(forest->lookup(*forest.at("g/d"), "new").error().code == ENOENT);
}

TEST_CASE("Open files follow their tree's file, at the same descriptor") {
  TestForest forest;
  forest.directory("p");
  forest.file("p/f", "old");
  const auto reader = must(forest->open(*forest.at("p/f"), O_RDONLY, kMyself));
  const auto writer = must(forest->open(*forest.at("p/f"), O_RDWR, kMyself));
  const int number = writer->descriptor();
  const auto node = forest.at("p/f");
  REQUIRE(forest->fork("p", "q"));
  const auto forked = must(forest->open(*forest.at("q/f"), O_RDWR, kMyself));
  REQUIRE(forest.write(*writer, "new") == 0);
  REQUIRE(writer->descriptor() == number);
  REQUIRE(forest.content(*reader) == "new");
  REQUIRE(forest.content(*forked) == "old");
  REQUIRE(forest.write(*forked, "own") == 0);
  REQUIRE(forest.content(*writer) == "new");
  REQUIRE(forest.at("p/f") == node);
}

TEST_CASE("A file without a name left is still the tree's own") {
  TestForest forest;
  forest.directory("p");
  forest.file("p/f", "old");
  const auto held = must(forest->open(*forest.at("p/f"), O_RDWR, kMyself));
  REQUIRE(forest->fork("p", "q"));
  REQUIRE(forest->unlink(*forest.at("p"), "f", kMyself));
  REQUIRE(forest.write(*held, "new") == 0);
  REQUIRE(forest.content(*held) == "new");
  REQUIRE(forest.read("q/f") == "old");
}

TEST_CASE("Names of one file stay one file on both sides") {
  TestForest forest;
  forest.directory("p");
  forest.directory("p/a");
  forest.directory("p/b");
  forest.file("p/a/f", "old");
  REQUIRE(forest->link(*forest.at("p/a/f"), *forest.at("p/b"), "g", kMyself));
  REQUIRE(forest->fork("p", "q"));
  forest.open();
  forest.write("q/b/g", "new");
  REQUIRE(forest.read("q/a/f") == "new");
  REQUIRE(forest.at("q/a/f") == forest.at("q/b/g"));
  REQUIRE(forest.stat("q/a/f").st_nlink == 2);
  REQUIRE(forest.read("p/a/f") == "old");
  REQUIRE(forest.stat("p/b/g").st_nlink == 2);
  REQUIRE(forest.stat("p/b/g").st_ino == forest.stat("p/a/f").st_ino);
  REQUIRE(forest->unlink(*forest.at("q/a"), "f", kMyself));
  REQUIRE(forest.stat("q/b/g").st_nlink == 1);
  REQUIRE(forest.stat("p/b/g").st_nlink == 2);
}

// Their descriptors would stay open.
TEST_CASE("Directories of hard links are kept by nobody once they are removed or their tree is") {
  TestForest forest;
  for (const char* path : {"p", "p/a", "p/b", "p/b/c"}) forest.directory(path);
  const TreeNodeRef file = forest.file("p/a/f", "old");
  for (const char* path : {"p/b", "p/b/c"}) {
    REQUIRE(forest->link(*file, *forest.at(path), "g", kMyself));
  }
  const auto known = [&](const char* path) { return std::weak_ptr(forest.at(path)); };
  REQUIRE(forest->fork("p", "q"));
  forest.write("q/a/f", "new");
  REQUIRE(forest->counts().searched == 1);
  const auto b = known("q/b");
  const auto c = known("q/b/c");
  REQUIRE_FALSE(c.expired());
  REQUIRE(forest->unlink(*forest.at("q/b/c"), "g", kMyself));
  REQUIRE(forest->remove_directory(*forest.at("q/b"), "c", kMyself));
  CHECK(c.expired());
  forest.write("q/a/f", "newer");
  CHECK(forest.read("q/b/g") == "newer");
  REQUIRE_FALSE(b.expired());
  REQUIRE(forest->drop("q"));
  CHECK(b.expired());
}

TEST_CASE("A fork is searched once for the other names of all its files") {
  constexpr int kFiles = 20;
  TestForest forest;
  for (const char* path : {"p", "p/a", "p/b"}) forest.directory(path);
  for (int i = 0; i < kFiles; ++i) {
    const TreeNodeRef file = forest.file(fmt::format("p/a/f{}", i), "old");
    REQUIRE(forest->link(*file, *forest.at("p/b"), fmt::format("g{}", i), kMyself));
  }
  REQUIRE(forest->fork("p", "q"));
  for (int i = 0; i < kFiles; ++i) forest.write(fmt::format("q/b/g{}", i), "new");
  CHECK(forest->counts().searched == 1);
  // What was found is no longer where it was.
  REQUIRE(forest->snapshot("q", "s"));
  const TreeNodeRef a = forest.at("q/a");
  REQUIRE(forest->rename(*a, "f1", *forest.at("q"), "moved", 0, kMyself));
  REQUIRE(forest->unlink(*a, "f2", kMyself));
  REQUIRE(forest->rename(*forest.at("q"), "a", *forest.at("q/b"), "c", 0, kMyself));
  for (int i = 0; i < kFiles; ++i) forest.write(fmt::format("q/b/g{}", i), "again");
  CHECK(forest->counts().searched <= 3);
  CHECK(forest.read("q/moved") == "again");
  CHECK(forest.stat("q/b/g2").st_nlink == 1);
  CHECK(forest.read("q/b/c/f3") == "again");
  for (int i = 0; i < kFiles; ++i) CHECK(forest.read(fmt::format("p/a/f{}", i)) == "old");
}

// A fork is a point in time also for those who write without a pause: what was written first is in
// it whenever what was written later is, and it does not change any more.
TEST_CASE("Writers do not reach into a fork that was taken while they write") {
  TestForest forest;
  forest.directory("p");
  forest.file("p/a", "000000");
  forest.file("p/b", "000000");
  std::atomic<bool> stop = false;
  std::atomic<int> failures = 0;
  std::thread writer([&] {
    const auto a = forest->open(
        *forest->lookup(*forest->lookup(*forest->root(), "p")->node, "a")->node, O_RDWR, kMyself);
    const auto b = forest->open(
        *forest->lookup(*forest->lookup(*forest->root(), "p")->node, "b")->node, O_RDWR, kMyself);
    for (int i = 1; !stop; ++i) {
      for (const auto* file : {&a, &b}) {
        const std::string bytes = fmt::format("{:06}", i);
        const auto writing = forest->begin_write(***file);
        if (!writing || ::pwrite((**file)->descriptor(), bytes.data(), 6, 0) != 6) ++failures;
      }
    }
  });
  std::vector<std::pair<std::string, std::string>> seen;
  for (int i = 0; i < 50; ++i) {
    const std::string name = fmt::format("q{}", i);
    REQUIRE(forest->fork("p", name));
    seen.emplace_back(forest.read(name + "/a"), forest.read(name + "/b"));
    std::this_thread::yield();
  }
  stop = true;
  writer.join();
  REQUIRE(failures == 0);
  for (int i = 0; i < 50; ++i) {
    const std::string name = fmt::format("q{}", i);
    const auto& [a, b] = seen[static_cast<std::size_t>(i)];
    REQUIRE(forest.read(name + "/a") == a);
    REQUIRE(forest.read(name + "/b") == b);
    REQUIRE((std::stoi(a) == std::stoi(b) || std::stoi(a) == std::stoi(b) + 1));
  }
}

TEST_CASE("opening a shared file to cut it, where descriptors run out, leaves it as it was") {
  for (std::size_t free = 0; free < 16; ++free) {
    CAPTURE(free);
    TestForest forest;
    forest.directory("p");
    forest.file("p/f", "bytes");
    REQUIRE(forest->fork("p", "q"));
    const auto node = forest.at("q/f");
    bool is_open = false;
    {
      std::vector<UniqueFd> taken;
      while (UniqueFd one{::open("/dev/null", O_RDONLY | O_CLOEXEC)}) {
        taken.push_back(std::move(one));
      }
      taken.resize(taken.size() - std::min(free, taken.size()));
      is_open = forest->open(*node, O_WRONLY | O_TRUNC, kMyself).has_value();
    }
    CHECK(forest.read("q/f") == (is_open ? "" : "bytes"));
    CHECK(forest.read("p/f") == "bytes");
  }
}

TEST_CASE("Names of a file are removed one by one without a look at all the others") {
  constexpr std::uint64_t kNames = 200;
  TestForest forest;
  forest.directory("p");
  forest.directory("p/d");
  const TreeNodeRef file = forest.file("p/d/f0", "old");
  for (std::uint64_t i = 1; i < kNames; ++i) {
    REQUIRE(forest->link(*file, *forest.at("p/d"), fmt::format("f{}", i), kMyself));
  }
  REQUIRE(forest->fork("p", "q"));
  forest.open();
  for (std::uint64_t i = 1; i < kNames; ++i) {
    REQUIRE(forest->unlink(*forest.at("q/d"), fmt::format("f{}", i), kMyself));
    CHECK(forest.stat("q/d/f0").st_nlink == kNames - i);
  }
  CHECK(forest->counts().looked <= 4 * kNames);
  CHECK(forest->counts().unshared == 1);
  // What is prepared in one state is not in the next.
  REQUIRE(forest->link(*forest.at("q/d/f0"), *forest.at("q/d"), "again", kMyself));
  const SnapshotId before = must(forest->snapshot("q", "s"));
  forest.write("q/d/again", "new");
  CHECK(forest.read("q/d/f0") == "new");
  CHECK(forest.read("p/d/f0") == "old");
  must(forest->rollback("q", before));
  CHECK(forest.read("q/d/f0") == "old");
}

TEST_CASE("What the past has a link of is removed without a copy") {
  const std::string bytes(100'000, 'x');
  for (const bool replaced : {false, true}) {
    TestForest forest;
    forest.directory("p");
    forest.file("p/shared", bytes);
    REQUIRE(forest->fork("p", "q"));
    forest.file("q/own", bytes);
    forest.open();
    for (const std::string name : {"own", "shared"}) {
      const TreeNodeRef file = forest.at("q/" + name);
      const std::string kept = forest.path("kept-" + name);
      REQUIRE(forest->use_descriptor(*file, [&](int fd) {
        return plain(::linkat(fd, "", AT_FDCWD, kept.c_str(), AT_EMPTY_PATH)) == 0
                   ? ok()
                   : fail_errno(kept);
      }));
      ++file->links_aside;
      if (replaced) {
        forest.file("q/new", "new");
        REQUIRE(forest->rename(*forest.at("q"), "new", *forest.at("q"), name, 0, kMyself));
      } else {
        REQUIRE(forest->unlink(*forest.at("q"), name, kMyself));
      }
      CHECK(must(forest->attributes(*file)).st_nlink == 0);
      CHECK(must(file::read(kept)) == bytes);
    }
    CHECK(forest->counts().unshared == 0);
    CHECK(forest->counts().searched == 0);
    CHECK(forest.read("p/shared") == bytes);
  }
}

}  // namespace
}  // namespace agentfs::test
