// SPDX-License-Identifier: MIT
// Turn commits where worktrees are not simple, and input that is not good.
#include <random>

#include "backends/git/worktree.h"
#include "unit/git/git_fixture.h"

namespace agentfs {
namespace {

using test::GitWorkspace;

std::string make_repository(const std::string& path) {
  return "git init -q " + path + " && cd " + path +
         " && touch x && git add x && git commit -qm in && cd - > /dev/null";
}

}  // namespace

TEST_CASE("a nested repository is recorded as its commit", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(make_repository("sub") + " && git init -q unborn && touch unborn/file");
  space.commit({"sub", "unborn"});
  const std::string head = space.sh("git -C sub rev-parse HEAD");
  CHECK(space.sh("git rev-parse refs/agentfs/turns/7:sub") == head);
  CHECK(space.listing() == "docs/README\nsrc/main.c\nsub\ntop\n");
  space.sh("cd sub && echo more > x && git commit -qam more");
  space.commit({"sub/x"});
  CHECK(space.sh("git rev-parse refs/agentfs/turns/7:sub") ==
        space.sh("git -C sub rev-parse HEAD"));
  space.sh("rm -r sub");
  space.commit({"sub"});
  CHECK(space.listing() == "docs/README\nsrc/main.c\ntop\n");
  space.check_fsck();
}

TEST_CASE("a .git that git takes for no repository hides no file beside it", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  const auto make = [&](const std::string& name, const std::string& how) {
    space.sh("mkdir -p " + name + "/.git/refs " + name + "/.git/objects && touch " + name +
             "/file && cd " + name + "/.git && " + how);
  };
  make("digits", "printf 'z%.0s' $(seq 40) > HEAD");
  make("away", "ln -s /nowhere/HEAD HEAD");
  make("huge", "truncate -s 1T HEAD");
  make("fifo", "mkfifo HEAD");
  make("none", "true");
  space.sh("mkdir text && touch text/file && truncate -s 3M text/.git");
  // This one is a repository, of which a part cannot be read: nobody else's commit waits for it.
  make("config", "echo 'ref: refs/heads/main' > HEAD && truncate -s 1T config");
  space.write("new", "1");
  CHECK_FALSE(space.commit({"."}).empty());
  CHECK(space.listing() ==
        "away/file\ndigits/file\ndocs/README\nfifo/file\nhuge/file\nnew\nnone/file\n"
        "src/main.c\nstaged\ntext/file\ntop\n");
  space.check_fsck();
}

TEST_CASE("submodules, checked out and not", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(make_repository("../other") +
           " && git submodule --quiet add ../other module &&"
           "git commit -qam module");
  space.write("new", "1");
  CHECK_FALSE(space.commit({"."}).empty());
  CHECK(space.tree_of_turn() == space.tree_by_git());
  space.sh("cd module && echo more > x && git commit -qam more");
  space.commit({"module/x"});
  CHECK(space.sh("git rev-parse refs/agentfs/turns/7:module") ==
        space.sh("git -C module rev-parse HEAD"));
  space.sh("cd module && echo again > x && git commit -qam again");
  space.commit({"module/.git"});
  CHECK(space.sh("git rev-parse refs/agentfs/turns/7:module") ==
        space.sh("git -C module rev-parse HEAD"));
  CHECK(space.commit({"docs/.git", "none/.git"}).empty());
  space.sh("git submodule --quiet deinit -f module");
  CHECK_FALSE(space.commit({"module"}).empty());  // git's index has an earlier commit
  CHECK(space.tree_of_turn() == space.tree_by_git());
  space.check_fsck();
}

TEST_CASE("a linked worktree has its history beside it", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh("git worktree add -q ../linked other && printf '1' > ../linked/new");
  const std::string before = space.users_state();
  TurnCommit turn = space.turn({"new"});
  turn.worktree = space.worktree + "/../linked";
  const auto id = space.repository().commit(turn);
  REQUIRE(id);
  CHECK(space.sh("git -C " + space.own + " rev-parse refs/agentfs/turns/7") == *id + "\n");
  CHECK(space.users_state() == before);
  CHECK(space.sh("git -C ../linked status --porcelain") == "?? new\n");
}

TEST_CASE("the worktree is the one that was named, whatever core.worktree says", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh("mkdir ../elsewhere && touch new && git config core.worktree ../../elsewhere");
  REQUIRE_FALSE(space.commit({"new"}).empty());
  CHECK(space.sh("git config core.worktree") == "../../elsewhere\n");
  space.sh("git config --unset core.worktree");
  CHECK(space.listing() == "docs/README\nnew\nsrc/main.c\ntop\n");
}

TEST_CASE("a clone that shares another's objects has its history beside it", "[git]") {
  const GitWorkspace space;
  space.sh(make_repository("../origin") + " && git clone -q --shared ../origin . && touch new");
  REQUIRE_FALSE(space.commit({"new"}).empty());
  CHECK(space.sh("git -C " + space.own + " ls-tree -r --name-only refs/agentfs/turns/7") ==
        "new\n");
  CHECK(space.sh("git for-each-ref refs/agentfs").empty());
}

TEST_CASE("any name that git takes", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  const std::vector<std::string> names = {"\xFF\xFE",       "new\nline", "-dash",  "sp ace",
                                          "quo\"te'",       "tab\t",     "back\\", "*",
                                          "d\xE9/\xC3\xA9", ".hidden",   "...",    ":(top)"};
  for (const std::string& name : names) space.write(name, name);
  SECTION("one by one") {
    std::vector<std::string> changed = names;
    changed.insert(changed.end(), {"top", "staged"});
    space.commit(changed);
  }
  SECTION("as a whole") { space.commit({"."}); }
  CHECK(space.tree_of_turn() == space.tree_by_git());
  space.check_fsck();
}

TEST_CASE("names that git refuses do not stop a turn", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("git~1", "x");
  space.write(".GIT/config", "x");
  space.write("fine", "x");
  const std::string before = space.users_state();
  space.commit({"git~1", ".GIT/config", "fine", ".git/config", ".git", "sub/.git/config"});
  CHECK(space.listing() == "docs/README\nfine\nsrc/main.c\ntop\n");
  CHECK(space.users_state() == before);
}

TEST_CASE("line endings are the user's attributes' concern", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write(".gitattributes", "* text=auto\n*.bin -text\n");
  space.write("text.txt", "one\r\ntwo\r\n");
  space.write("raw.bin", "one\r\ntwo\r\n");
  space.write("null", std::string("a\r\n\0", 4));
  space.commit({"."});
  CHECK(space.tree_of_turn() == space.tree_by_git());
  CHECK(space.sh("git show refs/agentfs/turns/7:text.txt") == "one\ntwo\n");
}

TEST_CASE("a large file does not pass through memory", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh("truncate -s 70M large && printf end >> large && git checkout -q top");
  space.commit({"large", "staged"});
  CHECK(space.tree_of_turn() == space.tree_by_git());
}

TEST_CASE("random turns make the trees that git would", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write(".gitignore", "*.tmp\nd3/\n");
  space.commit({"."});
  std::mt19937 random(20260101);
  const auto pick = [&](unsigned below) { return static_cast<int>(random() % below); };
  for (int turn = 0; turn < 25; ++turn) {
    std::vector<std::string> changed;
    for (int i = 0; i < 8; ++i) {
      const std::string folder = fmt::format("d{}/e{}", pick(5), pick(3));
      const std::string path = fmt::format("{}/f{}{}", folder, pick(4), pick(5) == 0 ? ".tmp" : "");
      switch (pick(6)) {
        case 0:
          space.sh("rm -rf " + folder);
          changed.push_back(folder);
          break;
        case 1:
          space.sh("rm -rf " + path);
          changed.push_back(path);
          break;
        case 2:
          space.sh(fmt::format("rm -rf {0}; mkdir -p $(dirname {0}) && ln -s x {0}", path));
          changed.push_back(path);
          break;
        case 3:
          space.sh(fmt::format("rm -rf {0}; mkdir -p {0} && echo {1} > {0}/in", path, turn));
          changed.push_back(path + "/in");
          break;
        default:
          space.sh(
              fmt::format("rm -rf {0}; mkdir -p $(dirname {0}) && echo {1} > {0} && chmod {2} {0}",
                          path, pick(9), pick(2) == 0 ? "755" : "644"));
          changed.push_back(path);
      }
    }
    const std::string base = space.tree_of_turn();
    space.commit(changed);
    INFO("turn " << turn);
    CHECK(space.tree_of_turn() == space.tree_by_git("refs/agentfs/turns/7"));
    REQUIRE(space.tree_of_turn() == space.tree_by_git(base.substr(0, 40)));
  }
  space.check_fsck();
}

TEST_CASE("input that cannot be used is refused in words", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("new", "1");
  const std::string before = space.users_state();
  const auto code = [&](const TurnCommit& turn) {
    const auto done = space.repository().commit(turn);
    REQUIRE_FALSE(done);
    CHECK_FALSE(done.error().message.empty());
    return done.error().code;
  };
  CHECK(code(space.turn({"../outside"})) == EINVAL);
  CHECK(code(space.turn({"a/../b"})) == EINVAL);
  CHECK(code(space.turn({std::string("a\0b", 3)})) == EINVAL);
  for (const char* ref : {"refs/heads/main", "HEAD", "", "refs/agentfs/a..b", "refs/agentfs/"}) {
    TurnCommit turn = space.turn({"new"});
    turn.ref = ref;
    CHECK(code(turn) == EINVAL);
  }
  TurnCommit nowhere = space.turn({"new"});
  nowhere.worktree += "/none";
  CHECK(code(nowhere) == ENOENT);
  CHECK(space.users_state() == before);
}

TEST_CASE("authors and messages of any bytes", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  TurnCommit turn = space.turn({"new"});
  for (const std::string text : {"", "<>", "a <b> \n c\xFF", "...", "\xE2\x98\x83"}) {
    space.write("new", "bytes " + text);
    turn.author = text;
    turn.message = text;
    const auto id = space.repository().commit(turn);
    INFO((id ? "" : id.error().message));
    REQUIRE(id);
    CHECK_FALSE(id->empty());
  }
  CHECK(space.sh("git log -1 --format=%an%n%B refs/agentfs/turns/7") ==
        "\xE2\x98\x83\n\xE2\x98\x83\n\n");
  space.check_fsck();
}

TEST_CASE("rules that are no plain file stop the turn, not the daemon", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh("mkfifo src/.gitignore && touch src/new");
  const auto stopped = space.try_commit({"src/new"});
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == EINVAL);
  CHECK_THAT(stopped.error().message, Catch::Matchers::has("src/.gitignore"));
  space.sh("rm src/.gitignore && ln -s /dev/zero src/.gitignore");
  CHECK(space.try_commit({"src/new"}).error().code == EINVAL);
  space.sh("rm src/.gitignore && echo '*.o' > rules && ln -s ../rules src/.gitignore");
  CHECK_FALSE(space.commit({"src/new"}).empty());
}

TEST_CASE("another writer of the ref is not overwritten", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("new", "1");
  space.commit({"new"});
  space.write("new", "2");
  space.sh("touch -d '1 hour' .git/refs/agentfs/turns/7.lock");  // by a clock that is ahead: held
  CHECK(space.try_commit({"new"}).error().code == EBUSY);
  space.sh("touch -d '2 minutes ago' .git/refs/agentfs/turns/7.lock");
  CHECK_FALSE(space.commit({"new"}).empty());
  CHECK(space.sh("ls .git/refs/agentfs/turns") == "7\n");
  space.write("new", "3");
  space.sh("git pack-refs --all");
  CHECK_FALSE(space.commit({"new"}).empty());
  CHECK(space.sh("git rev-list --count refs/agentfs/turns/7") == "4\n");
  space.check_fsck();
}

TEST_CASE("a lock that git holds for seconds is not broken", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("new", "1");
  space.commit({"new"});
  space.write("new", "2");
  space.sh("touch -d '20 seconds ago' .git/refs/agentfs/turns/7.lock");
  const auto daemon = open_git(std::time(nullptr) - 3600).value();  // which began before
  const auto made = daemon->commit(space.turn({"new"}));
  REQUIRE_FALSE(made);
  CHECK(made.error().code == EBUSY);
  CHECK(space.sh("ls .git/refs/agentfs/turns") == "7\n7.lock\n");
}

// git's own making of it, stopped at each of its locks by a kill.
TEST_CASE("a repository that was half made is made whole", "[git]") {
  for (const std::string lock : {"config.lock", "HEAD.lock"}) {
    CAPTURE(lock);
    const GitWorkspace space;
    space.write("new", "1");
    const auto half_made = [&](const std::string& age) {
      space.sh("mkdir -p ../git/7.git/refs ../git/7.git/objects && touch -d '" + age +
               "' ../git/7.git/" + lock);
    };
    half_made("1 hour");  // by a clock that is ahead: held
    const auto held = space.try_commit({"new"});
    REQUIRE_FALSE(held);
    CHECK(held.error().code == EBUSY);
    half_made("2 minutes ago");
    CHECK_FALSE(space.commit({"new"}).empty());
    CHECK(space.sh("git -C ../git/7.git rev-list --count refs/agentfs/turns/7") == "1\n");
    space.sh("git -C ../git/7.git fsck --strict");
  }
}

TEST_CASE("a damaged repository is an error, not a guess", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write("src/new", "1");
  const std::string tree = space.sh("git rev-parse HEAD:src").substr(0, 40);
  space.sh("rm -f .git/objects/" + tree.substr(0, 2) + "/" + tree.substr(2));
  CHECK(space.try_commit({"src/new"}).error().code == EBADMSG);
}

// libgit2 says that it has written what it had no directory for.
TEST_CASE("a commit whose objects have no room is an error, and no ref", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.sh(
      "for at in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do for on in 0 1 2 3 4 5 6 7 8 9 a b c d e f; "
      "do touch .git/objects/$at$on 2> /dev/null || true; done; done");
  space.write("src/new", "1");
  const auto made = space.try_commit({"src/new"});
  REQUIRE_FALSE(made);
  CHECK_FALSE(std::filesystem::exists(space.worktree + "/.git/refs/agentfs"));
}

TEST_CASE("what lies on a FUSE mount is told by name", "[git]") {
  constexpr std::string_view kMounts =
      "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
      "2 1 0:50 / /home/me/agentfs rw,nosuid shared:7 - fuse.agentfs agentfs rw\n"
      "3 2 0:51 / /home/me/agentfs/plain rw - tmpfs tmpfs rw\n"
      "4 1 0:52 / /with\\040blank rw - fuse x rw\n";
  CHECK(git::fuse_mount_of(kMounts, "/home/me").empty());
  CHECK(git::fuse_mount_of(kMounts, "/home/me/agentfs") == "/home/me/agentfs");
  CHECK(git::fuse_mount_of(kMounts, "/home/me/agentfs/x/y") == "/home/me/agentfs");
  CHECK(git::fuse_mount_of(kMounts, "/home/me/agentfs2").empty());
  CHECK(git::fuse_mount_of(kMounts, "/home/me/agentfs/plain/x").empty());
  CHECK(git::fuse_mount_of(kMounts, "/with blank/x") == "/with blank");
}

TEST_CASE("attributes are those of the files, not of the index", "[git]") {
  const GitWorkspace space;
  space.make_user_repository();
  space.write(".gitattributes", "*.txt text\n");
  space.sh("git add .gitattributes");
  space.write("a.txt", "1\r\n");
  space.commit({"a.txt", ".gitattributes"});
  CHECK(space.sh("git show refs/agentfs/turns/7:a.txt") == "1\n");
  space.sh("rm .gitattributes");
  space.write("a.txt", "2\r\n");
  space.commit({"a.txt", ".gitattributes"});
  CHECK(space.sh("git show refs/agentfs/turns/7:a.txt") == "2\r\n");
  // An index that cannot be read is the user's to mend, and keeps no commit.
  space.write(".git/index", "none");
  space.write("a.txt", "3\r\n");
  CHECK_FALSE(space.commit({"a.txt"}).empty());
}

}  // namespace agentfs
