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
