// SPDX-License-Identifier: MIT
// Commits of checkpoints: read from a copy of how it was, on a commit that is named.
#include "unit/git/git_fixture.h"

namespace agentfs {
namespace {

using test::GitWorkspace;

struct Checkpoints : GitWorkspace {
  const std::string source = worktree + "/../source";
  Checkpoints() { make_user_repository(); }

  void put(const std::string& path, std::string_view bytes) const {
    std::filesystem::create_directories(std::filesystem::path(source + "/" + path).parent_path());
    test::spit(source + "/" + path, bytes);
  }
  TurnCommit next(const std::string& name, std::vector<std::string> changed,
                  const std::string& parent = {}) const {
    std::filesystem::create_directories(source);
    TurnCommit commit = turn(std::move(changed));
    commit.ref = "refs/agentfs/checkpoints/" + name;
    commit.source = source;
    commit.parent = parent;
    commit.always = true;
    return commit;
  }
  std::string make(const TurnCommit& commit) const {
    const auto id = repository().commit(commit);
    INFO((id ? "" : id.error().message));
    REQUIRE(id);
    return *id;
  }
  std::string list(const std::string& name) const {
    return sh("git ls-tree -r --name-only refs/agentfs/checkpoints/" + name);
  }
};

}  // namespace

TEST_CASE("a checkpoint has what its source has, not the worktree", "[git]") {
  const Checkpoints space;
  const std::string before = space.users_state();
  space.put("src/main.c", "as it was");
  const std::string id = space.make(space.next("one", {"src/main.c", "docs"}));
  CHECK(space.sh("git rev-parse refs/agentfs/checkpoints/one") == id + "\n");
  CHECK(space.sh("git show " + id + ":src/main.c") == "as it was");
  CHECK(space.list("one") == "src/main.c\ntop\n");
  CHECK(space.sh("git rev-parse " + id + "^") == space.sh("git rev-parse HEAD"));
  CHECK(space.users_state() == before);
  space.check_fsck();
}

TEST_CASE("checkpoints build on the one that is named, and need no difference", "[git]") {
  const Checkpoints space;
  space.put("a", "1");
  const std::string first = space.make(space.next("one", {"a"}));
  const std::string second = space.make(space.next("two", {"a"}, first));
  CHECK(space.sh("git rev-parse " + second + "^") == first + "\n");
  CHECK(space.sh("git diff " + first + " " + second).empty());
  // A name that was used before.
  space.put("b", "2");
  const std::string third = space.make(space.next("one", {"b"}, second));
  CHECK(space.sh("git rev-parse refs/agentfs/checkpoints/one") == third + "\n");
  CHECK(space.list("one") == "a\nb\ndocs/README\nsrc/main.c\ntop\n");
  CHECK(space.make(space.next("none", {})).size() == 40);
}

TEST_CASE("a parent that is gone is told", "[git]") {
  const Checkpoints space;
  const auto made = space.repository().commit(space.next("one", {"a"}, std::string(40, 'a')));
  REQUIRE_FALSE(made);
  CHECK(made.error().code == ESTALE);
  CHECK(space.sh("git for-each-ref refs/agentfs").empty());
}

TEST_CASE("what is left in a whole directory stays as the parent has it", "[git]") {
  const Checkpoints space;
  space.put("src/new.c", "new");
  TurnCommit commit = space.next("one", {""});
  commit.left = {"docs", "src/main.c", "not/there"};
  space.make(commit);
  CHECK(space.list("one") == "docs/README\nsrc/main.c\nsrc/new.c\n");
  commit.changed = {"docs/README", "src"};
  commit.left = {"docs", "src"};
  space.make(commit);
  CHECK(space.list("one") == "src/main.c\ntop\n");
  // Below what is left, a name alone counts.
  commit.changed = {"", "src/main.c"};
  space.make(commit);
  CHECK(space.list("one") == "docs/README\n");
}

TEST_CASE("what is known is in without a look, in place of whatever was there", "[git]") {
  const Checkpoints space;
  const auto blob = [&](const std::string& text) {
    return space.sh("printf '" + text + "' | git hash-object -w --stdin").substr(0, 40);
  };
  TurnCommit commit = space.next("one", {"", "docs"});
  space.put("src/seen.c", "seen");
  commit.known = {{KnownFile::Kind::file, blob("main"), 4, "src/main.c"},
                  {KnownFile::Kind::executable, blob("tool"), 4, "src/tool"},
                  {KnownFile::Kind::link, blob("top"), 3, "docs"},
                  {KnownFile::Kind::file, blob("deep"), 4, "not/staged"}};
  space.make(commit);
  CHECK(space.sh("git ls-tree -r refs/agentfs/checkpoints/one | cut -d ' ' -f 1").substr(0, 7) ==
        "120000\n");
  CHECK(space.list("one") == "docs\nsrc/main.c\nsrc/seen.c\nsrc/tool\n");
  CHECK(space.sh("git show refs/agentfs/checkpoints/one:src/main.c") == "main");
  CHECK(space.sh("git ls-tree refs/agentfs/checkpoints/one:src tool").starts_with("100755 "));
  space.check_fsck();
}

TEST_CASE("what is known is not what attributes would make another of", "[git]") {
  const Checkpoints space;
  const std::string crlf =
      space.sh("printf 'a\\r\\n' | git hash-object -w --stdin --no-filters").substr(0, 40);
  TurnCommit commit = space.next("one", {"x", ".gitattributes"});
  commit.known = {{KnownFile::Kind::file, crlf, 3, "x"}};
  space.put(".gitattributes", "*.t text\n");
  space.make(commit);
  CHECK(space.sh("git cat-file -s refs/agentfs/checkpoints/one:x") == "3\n");
  for (const char* attribute : {"text", "filter=lfs", "working-tree-encoding=IBM037"}) {
    space.put(".gitattributes", fmt::format("* {}\n", attribute));
    const auto made = space.repository().commit(commit);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ENODATA);
  }
  // What is known is of the index: what has such line endings there keeps them where git guesses.
  for (const char* attribute : {"text=auto", "-filter"}) {
    space.put(".gitattributes", fmt::format("* {}\n", attribute));
    space.make(commit);
    CHECK(space.sh("git cat-file -s refs/agentfs/checkpoints/one:x") == "3\n");
  }
}

TEST_CASE("a file that git's program would change on its way is in a commit as it lies", "[git]") {
  const Checkpoints space;
  const std::string bytes("\x15\x0d\x0a\x0d\x0d\x0a\x0a\x00", 8);  // U+0D15, U+0D0A, of UTF-16LE
  space.put("encoded", bytes);
  space.put("filtered", "a\r\nb\r\n");
  space.put("plain", "a\r\nb\r\n");
  space.put("named", "$Id: not ended\nmore\n$HOME\n");
  space.put(".gitattributes",
            "* text\nencoded working-tree-encoding=UTF-16LE\nfiltered filter=upper\nnamed ident\n");
  space.make(space.next("one", {"encoded", "filtered", "plain", "named", ".gitattributes"}));
  const auto size_of = [&](const std::string& path) {
    return space.sh("git cat-file -s refs/agentfs/checkpoints/one:" + path);
  };
  CHECK(size_of("encoded") == "8\n");
  CHECK(size_of("filtered") == "6\n");
  CHECK(size_of("plain") == "4\n");
  CHECK(size_of("named") == "26\n");
}

TEST_CASE("by rules that libgit2 reads otherwise than git nothing is changed", "[git]") {
  const Checkpoints space;
  space.sh("mkdir -p ../files/d ../files/e");
  for (const char* path : {"a b.dat", "f.txt", "d/f.txt", "e/f.txt"}) space.put(path, "a\r\nb\r\n");
  const auto sizes = [&](const std::string& rules) {
    space.put(".gitattributes", "* text\n");
    space.put("d/.gitattributes", rules);
    space.make(space.next("one", {"f.txt", "d", "e"}));
    return space.sh(
        "for f in f.txt d/f.txt e/f.txt; do git cat-file -s "
        "refs/agentfs/checkpoints/one:$f; done");
  };
  CHECK(sizes("*.txt text\n") == "4\n4\n4\n");
  for (const std::string& rules :
       {std::string("\"f.txt\" -text\n"), std::string("  !f.txt text\n"), std::string("f\\ text\n"),
        "f.txt " + std::string(2048, 'x') + " text\n"}) {
    INFO(rules);
    CHECK(sizes(rules) == "4\n6\n4\n");
  }
  space.put(".gitattributes", "[attr]mine text\n* mine\n*.txt -mine\n");
  space.put("d/.gitattributes", "");
  space.make(space.next("one", {"f.txt"}));
  CHECK(space.sh("git cat-file -s refs/agentfs/checkpoints/one:f.txt") == "6\n");
}

TEST_CASE("what is said to be known and is no blob of that size is told", "[git]") {
  const Checkpoints space;
  const std::string tree = space.sh("git rev-parse HEAD:src").substr(0, 40);
  const std::string shorter = space.sh("git rev-parse HEAD:top").substr(0, 40);
  for (const std::string& id : {std::string(40, 'a'), tree, shorter}) {
    TurnCommit commit = space.next("one", {"x"});
    commit.known = {{KnownFile::Kind::file, id, 100, "x"}};
    const auto made = space.repository().commit(commit);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ENODATA);
    CHECK(made.error().message.contains(id));
  }
  CHECK(space.sh("git for-each-ref refs/agentfs").empty());
}

TEST_CASE("what is ignored the order of a checkpoint says, whatever lies there as rules", "[git]") {
  const Checkpoints space;
  space.write(".gitignore", "*.c\n");
  const auto make = [&](const std::string& name) {
    space.put("x.o", name);
    space.put("y.c", name);
    space.put("top", name);
    TurnCommit commit = space.next(name, {"x.o", "y.c", "top"});
    commit.ignored = {"x.o", "top"};
    space.make(commit);
    CHECK(space.list(name) == "docs/README\nsrc/main.c\ntop\ny.c\n");
    CHECK(space.sh("git show refs/agentfs/checkpoints/" + name + ":top") == name);
  };
  space.put(".gitignore", "*.c\n");
  make("a-file");
  std::filesystem::remove(space.source + "/.gitignore");
  std::filesystem::create_symlink("/etc/hostname", space.source + "/.gitignore");
  make("a-link");
  for (const std::string rules : {".gitignore", ".gitattributes"}) {
    std::filesystem::remove(space.source + "/" + rules);
    std::filesystem::create_directory(space.source + "/" + rules);
  }
  make("directories");
}

}  // namespace agentfs
