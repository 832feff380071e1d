// SPDX-License-Identifier: MIT
// Repositories that were made to do harm.
#include <sys/stat.h>

#include "backends/git/commit_process.h"
#include "base/text.h"
#include "unit/git/git_fixture.h"

namespace agentfs {
namespace {

using test::GitWorkspace;

const std::string kProgram = std::string(AGENTFS_BUILD_DIR) + "/agentfs-commit";

// Of the user's repository beside the worktree, which nothing may touch.
std::string outside_state(const GitWorkspace& space) {
  return space.sh("cd ../outside && find . -type f | sort | xargs sha256sum && find . | sort");
}

void make_outside(const GitWorkspace& space) {
  space.sh("git init -q ../outside && cd ../outside && touch x && git add x && git commit -qm x");
}

// By the library itself, as where the kernel has no Landlock, and by the program, started for this
// commit or waiting for it.
enum class By { library, started, waiting };

Result<std::string> commit_by(By by, const GitWorkspace& space) {
  if (by == By::library) return space.try_commit({"new"});
  const SystemClock clock;
  CommitProcess process(clock, kProgram);
  if (by == By::waiting) {
    TurnCommit refused = space.turn({"new"});
    refused.ref = "none of ours";
    REQUIRE_FALSE(process.commit(refused));  // whose end starts the one that waits
  }
  return process.commit(space.turn({"new"}));
}

}  // namespace

TEST_CASE("a .git that leads out of the workspace is not used", "[git]") {
  const GitWorkspace space;
  make_outside(space);
  space.write("new", "1");
  const std::string before = outside_state(space);
  const By by = GENERATE(By::library, By::started, By::waiting);
  SECTION("a link") { space.sh("ln -s ../outside/.git .git"); }
  SECTION("a file") { space.sh("echo gitdir: $PWD/../outside/.git > .git"); }
  SECTION("a link inside") {
    for (const std::string part : {"refs", "refs/agentfs", "refs/agentfs/turns", "objects"}) {
      space.sh("rm -rf .git ../taken && git init -q . && mkdir -p .git/refs/agentfs ../taken");
      space.sh("rm -rf .git/" + part + " && ln -s $PWD/../taken .git/" + part);
      REQUIRE(commit_by(by, space));
      CHECK(space.sh("ls -A ../taken").empty());
      space.sh("rm -rf " + space.own);
    }
  }
  SECTION("alternates") {
    space.sh("git init -q . && echo $PWD/../outside/.git/objects > .git/objects/info/alternates");
  }
  const auto made = commit_by(by, space);
  INFO((made ? "" : made.error().message));
  REQUIRE(made);
  CHECK(space.sh("git --git-dir=" + space.own + " rev-parse refs/agentfs/turns/7") == *made + "\n");
  CHECK(outside_state(space) == before);
}

TEST_CASE("what would keep it waiting is refused at once", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("new", "1");
  const By by = GENERATE(By::library, By::started, By::waiting);
  for (const std::string part : {"config", "HEAD", "packed-refs", "index", "info/exclude",
                                 "objects/info/alternates", "refs/agentfs/turns/7"}) {
    INFO(part);
    space.sh(
        fmt::format("mkdir -p .git/refs/agentfs/turns && touch .git/{0} &&"
                    "mv .git/{0} ../kept && mkfifo .git/{0}",
                    part));
    const auto made = commit_by(by, space);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == EINVAL);
    CHECK_THAT(made.error().message, Catch::Matchers::has(".git/" + part));
    space.sh(
        fmt::format("rm .git/{0} && mv ../kept .git/{0} && find .git -empty -name 7 -delete;"
                    "find .git -empty -name packed-refs -delete;"
                    "find .git -empty -name alternates -delete",
                    part));
  }
  CHECK(commit_by(by, space));
}

TEST_CASE("sizes that an agent chooses are not ours", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("new", "1");
  const By by = GENERATE(By::library, By::started, By::waiting);
  SECTION("rules") {
    for (const std::string path : {".gitignore", ".gitattributes", ".git/config"}) {
      space.sh("truncate -s 2G " + path);
      const auto made = commit_by(by, space);
      REQUIRE_FALSE(made);
      CHECK(made.error().code == EINVAL);
      CHECK_THAT(made.error().message, Catch::Matchers::has(path + " is too large (2147483648"));
      space.sh("rm " + path);
    }
  }
  SECTION("a file") {
    space.sh("truncate -s 100G new && touch small");
    CHECK(space.commit({"new"}).empty());
    CHECK_FALSE(space.commit({"new", "small"}).empty());
    CHECK(space.listing() == "docs/README\nsmall\nsrc/main.c\ntop\n");
  }
}

TEST_CASE("the process of a commit reaches nothing but the workspace", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("new", "1");
  const By by = GENERATE(By::started, By::waiting);
  // What libgit2 would read, of a file that it may not.
  space.sh(
      "printf '[core]\n autocrlf = true\n' > ../included; printf '*\n' > ../excluded;"
      "git config core.excludesFile $PWD/../excluded");
  const auto made = commit_by(by, space);
  INFO((made ? "" : made.error().message));
  REQUIRE(made);
  CHECK_THAT(space.listing(), Catch::Matchers::has("new\n"));
  CHECK_FALSE(std::filesystem::exists(space.own));
  space.check_fsck();
}

}  // namespace agentfs
