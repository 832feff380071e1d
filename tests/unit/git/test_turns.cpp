// SPDX-License-Identifier: MIT
// Turn commits: what they record, and what of the user's they leave as it is.
#include <thread>

#include "unit/git/git_fixture.h"

namespace agentfs {
namespace {

using test::GitWorkspace;
namespace fs = std::filesystem;

}  // namespace

TEST_CASE("the first turn is a commit on top of HEAD", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  const std::string before = space.users_state();
  space.write("src/main.c", "int main() {}");
  const std::string status = space.sh("git status --porcelain");
  const std::string id = space.commit({"src/main.c"});
  CHECK(id.size() == 40);
  CHECK(space.sh("git rev-parse refs/agentfs/turns/7") == id + "\n");
  CHECK(space.sh("git rev-parse 'refs/agentfs/turns/7^'") == space.sh("git rev-parse HEAD"));
  CHECK(space.sh("git diff --name-status HEAD refs/agentfs/turns/7") == "M\tsrc/main.c\n");
  CHECK(space.sh("git show refs/agentfs/turns/7:src/main.c") == "int main() {}");
  CHECK(space.sh("git log -1 --format='%an|%cn|%at|%ct|%B' refs/agentfs/turns/7") ==
        "fixer (pid 7)|agentfs|1700000000|1700000000|Turn 1: do it\n\n");
  CHECK(space.sh("git status --porcelain") == status);
  space.write("src/main.c", "int main;");
  CHECK(space.users_state() == before);
  space.check_fsck();
}

TEST_CASE("each turn builds on the one before, with its own paths only", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("a", "1");
  space.write("not-mine", "x");
  const std::string first = space.commit({"a"});
  space.write("b", "2");
  const std::string second = space.commit({"b"});
  CHECK(space.sh("git rev-parse '" + second + "^'") == first + "\n");
  CHECK(space.listing() == "a\nb\ndocs/README\nsrc/main.c\ntop\n");
  CHECK(space.sh("git show refs/agentfs/turns/7:top") == "top");
  space.check_fsck();
}

TEST_CASE("a turn without a change makes no commit", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  CHECK(space.commit({}).empty());
  CHECK(space.commit({"src/main.c", "src", "docs/"}).empty());
  CHECK(space.commit({"never-was", "never/was"}).empty());
  CHECK(space.sh("git for-each-ref refs/agentfs").empty());
  space.write("a", "1");
  CHECK_FALSE(space.commit({"a"}).empty());
  CHECK(space.commit({"a"}).empty());
  CHECK(space.sh("git rev-list --count refs/agentfs/turns/7") == "2\n");
}

TEST_CASE("modes and links are recorded as git does", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(
      "printf '#!/bin/sh' > run && chmod 755 run && ln -s src/main.c link &&"
      "ln -s /etc/passwd outside && ln -s missing broken && chmod 600 top &&"
      "git checkout -q top");
  space.commit({"run", "link", "outside", "broken"});
  CHECK(space.sh("git ls-tree refs/agentfs/turns/7 run link outside broken | cut -c1-6 |"
                 "sort | uniq -c | tr -s ' '") == " 1 100755\n 3 120000\n");
  CHECK(space.sh("git show refs/agentfs/turns/7:outside") == "/etc/passwd");
  space.sh("chmod 644 run");
  CHECK_FALSE(space.commit({"run"}).empty());
  CHECK(space.sh("git ls-tree refs/agentfs/turns/7 run | cut -c1-6") == "100644\n");
  space.check_fsck();
}

TEST_CASE("what is gone is removed, by whatever name", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh("mkdir -p deep/er && touch deep/er/1 deep/er/2 deep/3");
  space.commit({"deep"});
  space.sh("rm deep/er/1");
  space.commit({"deep/er/1"});
  CHECK(space.listing() == "deep/3\ndeep/er/2\ndocs/README\nsrc/main.c\ntop\n");
  space.sh("rm -r deep");
  SECTION("the directory") { space.commit({"deep"}); }
  SECTION("a file that was in it") { space.commit({"deep/er/2"}); }
  SECTION("each file") { space.commit({"deep/3", "deep/er/2", "deep/er/1"}); }
  CHECK(space.listing() == "docs/README\nsrc/main.c\ntop\n");
  space.check_fsck();
}

TEST_CASE("a turn may remove everything", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh("rm -r src docs top staged");
  CHECK_FALSE(space.commit({"src", "docs", "top", "staged"}).empty());
  CHECK(space.listing().empty());
  space.write("new", "1");
  CHECK_FALSE(space.commit({""}).empty());
  CHECK(space.listing() == "new\n");
  space.check_fsck();
}

TEST_CASE("files, directories and links take each other's place", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  SECTION("a file in place of a directory") {
    space.sh("rm -r src && printf 'file' > src");
    space.commit({"src/main.c"});
    CHECK(space.listing() == "docs/README\nsrc\ntop\n");
  }
  SECTION("a directory in place of a file") {
    space.sh("rm top && mkdir -p top/in && touch top/in/1 top/2");
    space.commit({"top/2"});
    CHECK(space.listing() == "docs/README\nsrc/main.c\ntop/2\ntop/in/1\n");
  }
  SECTION("a link in place of a directory is not followed") {
    space.sh("mv src .. && ln -s ../src src");
    space.commit({"src/main.c", "src/secret"});
    CHECK(space.listing() == "docs/README\nsrc\ntop\n");
    CHECK(space.sh("git show refs/agentfs/turns/7:src") == "../src");
  }
  SECTION("a FIFO in place of a file is a removal") {
    space.sh("rm top && mkfifo top");
    space.commit({"top"});
    CHECK(space.listing() == "docs/README\nsrc/main.c\n");
  }
  space.check_fsck();
}

TEST_CASE("what the user ignores is left out", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(
      "printf '*.o\\nbuild/\\n/only-top\\n!keep.o\\n' > .gitignore &&"
      "printf 'local\\n' > src/.gitignore && echo secret > .git/info/exclude &&"
      "printf 't' > tracked.o && git add -f tracked.o && git commit -qm tracked &&"
      "mkdir -p build/deep sub && touch a.o keep.o build/x build/deep/y only-top sub/only-top"
      " src/local local secret src/x.o sub/new && printf 'u' > tracked.o");
  std::vector<std::string> each = {"a.o",        "keep.o",         "build/x",   "build/deep/y",
                                   "only-top",   "sub/only-top",   "src/local", "local",
                                   "secret",     "src/x.o",        "sub/new",   "tracked.o",
                                   ".gitignore", "src/.gitignore", "top",       "staged"};
  SECTION("path by path") { space.commit(each); }
  SECTION("as a whole") { space.commit({"."}); }
  SECTION("directory by directory") {
    space.commit({"build", "src", "sub", "a.o", "keep.o", "only-top", "local", "secret",
                  "tracked.o", ".gitignore", "top", "staged"});
  }
  CHECK(space.tree_of_turn() == space.tree_by_git());
  CHECK(space.sh("git show refs/agentfs/turns/7:tracked.o") == "u");
  space.check_fsck();
}

TEST_CASE("of a directory with other rules what the base has not is in", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(
      "printf '*.o\n' > .gitignore && mkdir -p src/deep && touch a.o src/a.c src/deep/b.c"
      " src/own.c && printf changed > src/main.c && rm docs/README");
  TurnCommit commit = space.turn({".gitignore"});
  commit.unignored = {""};
  commit.left = {"src/own.c"};
  REQUIRE(space.repository().commit(commit).value() != "");
  CHECK(space.listing() ==
        ".gitignore\ndocs/README\nsrc/a.c\nsrc/deep/b.c\nsrc/main.c\nstaged\ntop\n");
  CHECK(space.sh("git show refs/agentfs/turns/7:src/main.c") == "int main;");
  CHECK_FALSE(space.commit({"src/own.c", "src/main.c", "docs/README", "top"}).empty());
  CHECK(space.tree_of_turn() == space.tree_by_git());
  space.check_fsck();
}

TEST_CASE("what the user's index has is in though it is ignored", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(
      "printf '*.o\nbuild/\n' > .gitignore && mkdir -p build/deep &&"
      "touch a.o b.o build/x build/deep/y build/deep/z && git add -f a.o build/deep/y &&"
      "printf later > a.o");
  SECTION("path by path") {
    space.commit(
        {".gitignore", "a.o", "b.o", "build/x", "build/deep/y", "build/deep/z", "top", "staged"});
  }
  SECTION("as a whole") { space.commit({"."}); }
  const std::string index = "GIT_INDEX_FILE='" + space.own + ".index' ";
  CHECK(space.tree_of_turn() ==
        space.sh("mkdir -p '" + space.own + "' && cp .git/index '" + space.own + ".index' && " +
                 index + "git add -A && " + index + "git write-tree"));
  CHECK(space.sh("git show refs/agentfs/turns/7:a.o") == "later");
  space.check_fsck();
}

TEST_CASE("a repository without a commit gets a root commit", "[git]") {
  const GitWorkspace space;
  space.sh("git init -q . && mkdir a && touch a/b c && git add c");
  CHECK_FALSE(space.commit({"a/b"}).empty());
  CHECK(space.listing() == "a/b\n");
  CHECK(space.sh("git rev-list --count --all") == "1\n");
  CHECK(space.sh("git status --porcelain") == "A  c\n?? a/\n");
  CHECK(space.sh("cat .git/HEAD") == "ref: refs/heads/main\n");
  space.check_fsck();
}

TEST_CASE("a worktree that is no repository has its history beside it", "[git]") {
  const GitWorkspace space;
  CHECK(space.commit({"."}).empty());
  space.write("a/b", "1");
  space.write("skip.o", "1");
  space.write(".gitignore", "*.o\n");
  SECTION("no .git") {}
  SECTION("a .git that a clone has only begun") { space.sh("mkdir -p .git/objects"); }
  SECTION("a .git that leads nowhere") { space.sh("echo 'gitdir: ../none' > .git"); }
  const std::string before = space.sh("find . | sort");
  const std::string first = space.commit({"."});
  REQUIRE_FALSE(first.empty());
  space.write("a/b", "2");
  const std::string second = space.commit({"a/b"});
  CHECK(space.sh("find . | sort") == before);
  const std::string git = "git --git-dir='" + space.own + "' ";
  CHECK(space.sh(git + "rev-list refs/agentfs/turns/7") == second + "\n" + first + "\n");
  CHECK(space.sh(git + "ls-tree -r --name-only refs/agentfs/turns/7") == ".gitignore\na/b\n");
  CHECK(space.sh(git + "config --get core.worktree || true").empty());
  CHECK(space.sh("export GIT_DIR='" + space.own + "'; " + GitWorkspace::kFsck).empty());
}

TEST_CASE("a thousand paths and a wide, deep tree", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  std::vector<std::string> changed;
  for (int i = 0; i < 1000; ++i) {
    changed.push_back(fmt::format("d{}/e{}/file{}", i % 10, i % 7, i));
    space.write(changed.back(), fmt::format("{}", i));
  }
  changed.push_back("top");
  changed.push_back("staged");
  const std::string before = space.users_state();
  REQUIRE_FALSE(space.commit(changed).empty());
  CHECK(space.users_state() == before);
  CHECK(space.tree_of_turn() == space.tree_by_git());
  space.write(changed[500], "other");
  REQUIRE_FALSE(space.commit({changed[500]}).empty());
  CHECK(space.sh("git diff --name-only refs/agentfs/turns/7^ refs/agentfs/turns/7") ==
        changed[500] + "\n");
  space.check_fsck();
}

TEST_CASE("two workspaces at once", "[git]") {
  const GitWorkspace one;
  const GitWorkspace two;
  one.make_user_repository();
  two.make_user_repository();
  const auto work = [](const GitWorkspace& space, std::string& last) {
    for (int i = 0; i < 20; ++i) {
      test::spit(space.worktree + "/counter", fmt::format("{}", i));
      last = space.try_commit({"counter"}).value_or("");
    }
  };
  std::string last[2];
  {
    std::jthread first([&] { work(one, last[0]); });
    std::jthread second([&] { work(two, last[1]); });
  }
  CHECK(one.sh("git rev-parse refs/agentfs/turns/7") == last[0] + "\n");
  CHECK(two.sh("git rev-list --count refs/agentfs/turns/7") == "21\n");
  one.check_fsck();
  two.check_fsck();
}

}  // namespace agentfs
