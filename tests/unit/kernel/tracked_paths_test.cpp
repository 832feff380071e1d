// SPDX-License-Identifier: MIT
// What git's program has written into an index is what it is read as.
#include "kernel/tracked_paths.h"

#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "support/must.h"
#include "unit/git/git_fixture.h"

namespace agentfs::test {
namespace {

struct Indexed : GitWorkspace {
  Indexed() {
    make_user_repository();
    sh("mkdir -p build/deep && for i in 1 2 3 4 5 6 7 8 9; do echo $i > build/deep/n$i$i; done &&"
       "printf x > \"build/$(printf 'long%.0s' $(seq 60))\" && ln -s top link &&"
       "git init -q nested && git -C nested commit -q --allow-empty -m x && git add -A -f &&"
       "echo later > later && git add -N later");
  }
  std::string index() const { return must(file::read(worktree + "/.git/index")); }
  // What git's program says, but for repositories.
  std::vector<std::string> listed() const {
    std::vector<std::string> paths;
    const std::string entries = sh("git ls-files -s | cut -f 1,2");
    for (const std::string_view line : text::lines(entries)) {
      if (line.starts_with("160000")) continue;
      paths.emplace_back(line.substr(line.find('\t') + 1));
    }
    return paths;
  }
};

}  // namespace

TEST_CASE("an index of each version is read as git's program lists it") {
  const Indexed space;
  for (const char* version : {"2", "3", "4"}) {
    INFO(version);
    space.sh(std::string("git update-index --index-version ") + version);
    const auto tracked = must(TrackedPaths::parse(space.index()));
    CHECK(tracked.missing_in({}) == space.listed());
    CHECK(tracked.contains("src/main.c"));
    CHECK_FALSE(tracked.contains("nested"));
    CHECK_FALSE(tracked.contains("src"));
    CHECK(tracked.below("build/deep").size() == 9);
    CHECK(tracked.below("buil").empty());
  }
}

TEST_CASE("the sides of a conflict are one path, and what is new is what the other has not") {
  const Indexed space;
  space.sh(
      "git commit -qm all && git checkout -q -b theirs && echo 2 > top && git commit -qam 2 &&"
      "git checkout -q main && echo 3 > top && git commit -qam 3 && ! git merge -q theirs");
  const auto tracked = must(TrackedPaths::parse(space.index()));
  CHECK(tracked.contains("top"));
  CHECK(tracked.below("build/deep").size() == 9);
  space.sh("git reset -q --hard && echo new > new && git add new && git rm -q --cached link");
  const auto now = must(TrackedPaths::parse(space.index()));
  CHECK(now.missing_in(tracked) == std::vector<std::string>{"new"});
  CHECK(tracked.missing_in(now) == std::vector<std::string>{"later", "link"});
}

TEST_CASE("what git keeps from the worktree is told, of each version") {
  const Indexed space;
  space.sh("git commit -qm all && git update-index --skip-worktree top build/deep/n11");
  const auto paths = [](const std::vector<TrackedPaths::Away>& away) {
    std::vector<std::string> names;
    for (const TrackedPaths::Away& one : away) names.push_back(one.path.path);
    return names;
  };
  for (const char* version : {"3", "4"}) {
    INFO(version);
    space.sh(std::string("git update-index --index-version ") + version);
    const auto tracked = must(TrackedPaths::parse(space.index()));
    REQUIRE(paths(tracked.away()) == std::vector<std::string>{"build/deep/n11", "nested", "top"});
    CHECK(tracked.away()[1].is_submodule);
    CHECK(tracked.away()[1].path.mode == 0160000);
    CHECK_FALSE(tracked.away()[2].is_submodule);
    CHECK(tracked.away()[2].path.id + "\n" == space.sh("git rev-parse :top"));
    CHECK(paths(tracked.away_about({"build"})) == std::vector<std::string>{"build/deep/n11"});
    CHECK(paths(tracked.away_about({"top"})) == std::vector<std::string>{"top"});
    CHECK(tracked.away_about({"to"}).empty());
    CHECK(tracked.away_about({""}).size() == 3);
    CHECK(paths(tracked.away_about({"nested/a/b"})) == std::vector<std::string>{"nested"});
    CHECK(tracked.away_about({"top", "nested/a", "build/deep", "nested", "build"}).size() == 3);
  }
  const auto before = must(TrackedPaths::parse(space.index()));
  space.sh(
      "git update-index --no-skip-worktree top && git -C nested commit -q --allow-empty -m y &&"
      "git add nested");
  const auto now = must(TrackedPaths::parse(space.index()));
  CHECK(before.away_only_here(now) == std::vector<std::string>{"top"});
  CHECK(now.away_only_here(before).empty());
  CHECK(now.away_unlike(before) == std::vector<std::string>{"nested"});
  space.sh(
      "git update-index --no-skip-worktree build/deep/n11 && git rm -q -f --cached nested later &&"
      "mv nested ../nested && rm later && git commit -qm none &&"
      "git sparse-checkout set --cone --sparse-index src");
  const auto sparse = must(TrackedPaths::parse(space.index()));
  CHECK(paths(sparse.away()) == std::vector<std::string>{"build", "docs"});
  CHECK(sparse.away()[0].path.mode == 040000);
}

TEST_CASE("an index that is cut short or of another kind is told, wherever it ends") {
  const Indexed space;
  space.sh("git update-index --index-version 4");
  const std::string whole = space.index();
  CHECK_FALSE(TrackedPaths::parse(""));
  CHECK_FALSE(TrackedPaths::parse("DIRC"));
  CHECK_FALSE(TrackedPaths::parse("DIRX" + whole.substr(4)));
  std::size_t refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    refused += TrackedPaths::parse(whole.substr(0, size)) ? 0 : 1;
    std::string changed = whole;
    changed[size] = static_cast<char>(~changed[size]);
    (void)TrackedPaths::parse(changed);
  }
  // But where what is left passes for entries and a checksum.
  CHECK(refused + 1 == whole.size());
  space.sh("git update-index --split-index");
  CHECK(TrackedPaths::parse(space.index()).error().code == ENOTSUP);
}

}  // namespace agentfs::test
