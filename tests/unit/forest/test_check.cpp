// SPDX-License-Identifier: MIT
// What fsck finds in a forest, what it mends, and how a damaged one is served.
#include <sys/xattr.h>

#include <fstream>

#include "backends/trees/forest_check.h"
#include "forest_fixture.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

// Trees and room side by side, opened and closed by the test.
struct World {
  std::string trees() const { return base.path("trees"); }
  std::string hidden() const { return base.path("hidden"); }
  std::string path(const std::string& below) const { return base.path("trees/" + below); }
  std::unique_ptr<Forest> open(const ForestOptions& options = {}) {
    return must(open_forest(trees(), hidden(), options));
  }
  Findings check() { return must(check_forest(trees(), hidden())); }

  // "main" with a/b/file, forked as "try", of which one directory has changed since.
  void make_family(const ForestOptions& options = {}) {
    auto forest = open(options);
    const auto main = make_directory(*forest, *forest->root(), "main");
    const auto a = make_directory(*forest, *main, "a");
    const auto b = make_directory(*forest, *a, "b");
    make_file(*forest, *b, "file", "one");
    make_file(*forest, *main, "top", "top");
    must(forest->fork("main", "try"));
    make_file(*forest, *main, "later", "later");
  }

  World() { fs::create_directory(trees()); }
  TemporaryDirectory base;
};

std::string mark_name(const char* name) {
  return fmt::format("{}{}", ::geteuid() == 0 ? "trusted.agentfs." : "user.agentfs.forest.", name);
}

std::string get_mark(const std::string& path, const char* name) {
  char value[512];
  const ssize_t length = ::getxattr(path.c_str(), mark_name(name).c_str(), value, sizeof value);
  return length < 0 ? std::string() : std::string(value, static_cast<std::size_t>(length));
}

void set_mark(const std::string& path, const char* name, const std::string& value) {
  REQUIRE(::setxattr(path.c_str(), mark_name(name).c_str(), value.data(), value.size(), 0) == 0);
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::trunc) << bytes;
}

ino_t inode_of(const std::string& path) {
  struct stat attributes{};
  REQUIRE(::lstat(path.c_str(), &attributes) == 0);
  return attributes.st_ino;
}

TEST_CASE("a forest that is whole has no problems", "[forest]") {
  World world;
  CHECK(world.check().sum == "never forked");
  world.make_family();
  const Findings found = world.check();
  INFO(fmt::format("{}", found.problems.empty() ? "" : found.problems.front()));
  CHECK(found.whole());
  CHECK(found.notes.empty());
}

TEST_CASE("a fork of a tree that was taken back is whole, whatever its parent does", "[forest]") {
  World world;
  {
    auto forest = world.open();
    const auto main = make_directory(*forest, *forest->root(), "main");
    make_file(*forest, *make_directory(*forest, *main, "a"), "file", "one");
    make_file(*forest, *main, "top", "top");
    const SnapshotId first = must(forest->snapshot("main", "first"));
    make_file(*forest, *main, "second", "second");
    must(forest->rollback("main", first));
    must(forest->fork("main", "try"));
    const auto again = must(forest->lookup(*forest->root(), "main")).node;
    make_file(*forest, *again, "third", "third");
    must(forest->snapshot("main", "second"));
    make_file(*forest, *again, "fourth", "fourth");
  }
  const Findings found = world.check();
  INFO(fmt::format("{}", found.problems.empty() ? "" : found.problems.front()));
  CHECK(found.whole());
}

TEST_CASE("a fork that was taken away on purpose is not lost, whatever has its name", "[forest]") {
  World world;
  {
    auto forest = world.open();
    (void)make_directory(*forest, *forest->root(), "main");
    must(forest->fork("main", "try"));
    SECTION("dropped") { must(forest->drop("try")); }
    SECTION("removed when it was empty") {
      must(forest->remove_directory(*forest->root(), "try", kMyself));
    }
    SECTION("replaced") {
      (void)make_directory(*forest, *forest->root(), "other");
      must(forest->rename(*forest->root(), "other", *forest->root(), "try", 0, kMyself));
    }
    SECTION("dropped, and its parent gone") {
      must(forest->drop("try"));
      must(forest->remove_directory(*forest->root(), "main", kMyself));
    }
  }
  fs::create_directory(world.path("try"));
  const Findings found = world.check();
  INFO(fmt::format("{}", found.problems.empty() ? "" : found.problems.front()));
  CHECK(found.whole());
}

TEST_CASE("a fork that lost its mark is told", "[forest]") {
  World world;
  {
    auto forest = world.open();
    (void)make_directory(*forest, *forest->root(), "main");
    must(forest->fork("main", "try"));
  }
  REQUIRE(::removexattr(world.path("try").c_str(), mark_name("tree").c_str()) == 0);
  CHECK_FALSE(world.check().whole());
}

TEST_CASE("a damaged mark makes its tree unreadable, the others are served", "[forest]") {
  const char* const damaged = GENERATE("3 2", "9 9", "1 0", "two 3", "");
  World world;
  world.make_family();
  const std::string whole = get_mark(world.path("try"), "tree");
  REQUIRE(whole == "3 3");
  set_mark(world.path("try"), "tree", damaged);
  CHECK_FALSE(world.check().whole());
  {
    const auto forest = world.open();
    const auto main = forest->lookup(*forest->root(), "main");
    const auto fork = forest->lookup(*forest->root(), "try");
    CHECK(static_cast<int>(main.has_value()) + static_cast<int>(fork.has_value()) == 1);
    const std::string name = fork ? "main" : "try";
    CHECK(code_of(forest->lookup(*forest->root(), name)) == EBADMSG);
    CHECK(code_of(forest->remove_directory(*forest->root(), name, kMyself)) == EBADMSG);
    CHECK(code_of(forest->rename(*forest->root(), name, *forest->root(), "x", 0, kMyself)) ==
          EBADMSG);
    CHECK(must(forest->collect()) == 0);  // nobody knows what it reads
  }
  set_mark(world.path("try"), "tree", whole);
  CHECK(world.check().whole());
  const auto forest = world.open();
  const auto fork = must(forest->lookup(*forest->root(), "try")).node;
  const auto top = must(forest->lookup(*fork, "top")).node;
  CHECK(read_file(*forest, *top) == "top");
}

TEST_CASE("a damaged mark of a hollow directory is told and never hangs", "[forest]") {
  World world;
  world.make_family();
  const std::string whole = get_mark(world.path("try"), "hollow");
  SECTION("no mark") { set_mark(world.path("try"), "hollow", "nonsense"); }
  SECTION("a line that is not there") {
    set_mark(world.path("try"), "hollow", fmt::format("7{}", whole.substr(1)));
  }
  SECTION("a directory that is not there") {
    std::string other = whole;
    const auto inode = other.find(' ', 2) + 1;
    other[inode] = other[inode] == '9' ? '8' : static_cast<char>(other[inode] + 1);
    set_mark(world.path("try"), "hollow", other);
  }
  SECTION("itself") {
    auto forest = world.open();
    must(forest->snapshot("try", "one"));
    forest.reset();
    std::string link = fs::read_symlink(world.hidden() + "/lines/3/snap.1");
    // "<shown> <time> <inode> <type> <handle> <label>": the key of try's own root.
    const auto words = [&] {
      std::vector<std::string> all;
      std::istringstream stream(link);
      for (std::string word; stream >> word;) all.push_back(word);
      return all;
    }();
    set_mark(world.path("try"), "hollow",
             fmt::format("3 1 {} {} {}", words.at(2), words.at(3), words.at(4)));
  }
  const Findings found = world.check();
  REQUIRE_FALSE(found.whole());
  CHECK_THAT(found.problems.front(), Catch::Matchers::has("try"));
  const auto forest = world.open();
  const auto fork = forest->lookup(*forest->root(), "try");
  const bool refused = !fork || !forest->lookup(*fork->node, "top");
  CHECK(refused);
  const auto main = must(forest->lookup(*forest->root(), "main")).node;
  CHECK(forest->lookup(*main, "top").has_value());
}

TEST_CASE("marks of which records leave one value are written anew") {
  World world;
  world.make_family();
  const std::string tree = get_mark(world.path("try"), "tree");
  const std::string hollow = get_mark(world.path("try"), "hollow");
  const std::string parent = get_mark(world.path("main"), "tree");
  SECTION("nothing is damaged") {
    CHECK(must(mend_forest_marks(world.trees(), world.hidden())).empty());
  }
  SECTION("both of a fork") {
    set_mark(world.path("try"), "tree", "x");
    set_mark(world.path("try"), "hollow", "x");
    CHECK(must(mend_forest_marks(world.trees(), world.hidden())).size() == 2);
  }
  SECTION("of both trees: a snapshot knows the one, what is left is the other") {
    set_mark(world.path("try"), "tree", "x");
    set_mark(world.path("main"), "tree", "y");
    CHECK(must(mend_forest_marks(world.trees(), world.hidden())).size() == 2);
  }
  SECTION("a root that reads another directory") {
    std::string line;
    std::string sequence;
    std::istringstream(hollow) >> line >> sequence;
    struct stat a{};
    REQUIRE(::stat(world.path("main/a").c_str(), &a) == 0);
    set_mark(world.path("try"), "hollow", fmt::format("{} {} {} 0 -", line, sequence, a.st_ino));
    CHECK_FALSE(world.check().whole());
    CHECK(must(mend_forest_marks(world.trees(), world.hidden())).size() == 1);
  }
  SECTION("one that says it is another") {
    set_mark(world.path("try"), "tree", parent);
    CHECK(must(mend_forest_marks(world.trees(), world.hidden())).size() == 1);
  }
  CHECK(get_mark(world.path("try"), "tree") == tree);
  CHECK(get_mark(world.path("try"), "hollow") == hollow);
  CHECK(get_mark(world.path("main"), "tree") == parent);
  CHECK(world.check().whole());
}

TEST_CASE("marks that could be one of two stay as they are") {
  World world;
  world.make_family();
  {
    const auto forest = world.open();
    must(forest->fork("try", "third"));
    must(forest->rollback("third", must(forest->snapshot("third", "one"))));
    must(forest->fork("main", "fourth"));
  }
  for (const char* name : {"try", "fourth"}) set_mark(world.path(name), "tree", "x");
  // A snapshot of "try" knows its root; then "fourth" is all that is left.
  CHECK(must(mend_forest_marks(world.trees(), world.hidden())).size() == 2);
  CHECK(world.check().whole());
  for (const char* name : {"third", "fourth"}) set_mark(world.path(name), "tree", "x");
  CHECK(must(mend_forest_marks(world.trees(), world.hidden())).empty());
  CHECK(get_mark(world.path("fourth"), "tree") == "x");
  // Where it was rolled back to is not what it was forked at.
  CHECK_FALSE(world.check().whole());
}

TEST_CASE("a saved directory that lost a mark is told", "[forest]") {
  World world;
  world.make_family();
  for (const auto& entry : fs::directory_iterator(world.hidden() + "/lines/1")) {
    if (!entry.path().filename().string().starts_with("past.")) continue;
    REQUIRE(::removexattr((entry.path() / "a").c_str(), mark_name("hollow").c_str()) == 0);
  }
  CHECK_FALSE(world.check().whole());
}

TEST_CASE("a copy of a forest is recognised and adopted", "[forest]") {
  World world;
  world.make_family();
  const bool is_solid = GENERATE(true, false);
  const bool has_marks = GENERATE(true, false);
  if (is_solid) {
    const auto forest = world.open();
    const auto fork = must(forest->lookup(*forest->root(), "try")).node;
    REQUIRE(forest->solidify(*fork, true).has_value());
    REQUIRE(forest->solidify(*fork, true).has_value());  // again: nothing left to do
    CHECK(bytes_of(world.path("try/a/b/file")) == "one");
    CHECK_FALSE(fs::exists(world.path("try/later")));
  }
  World copy;
  fs::remove_all(copy.trees());
  const std::string how = has_marks ? "cp -a" : "cp -dR --preserve=mode,timestamps,links";
  REQUIRE(::system(fmt::format("{} {} {} {}/", how, world.trees(), world.hidden(), copy.base.path())
                       .c_str()) == 0);
  CHECK_FALSE(copy.check().whole());
  CHECK(code_of(open_forest(copy.trees(), copy.hidden())) == ESTALE);
  const auto told =
      must(adopt_copied_forest(copy.trees(), copy.hidden(), copy.base.path("quarantine")));
  CHECK_FALSE(told.empty());
  CHECK(copy.check().whole());
  CHECK(must(adopt_copied_forest(copy.trees(), copy.hidden(), copy.base.path("q"))).empty());
  const auto forest = copy.open();
  const auto main = must(forest->lookup(*forest->root(), "main")).node;
  CHECK(read_file(*forest, *must(forest->lookup(*main, "later")).node) == "later");
  if (is_solid) {
    CHECK(bytes_of(copy.path("try/a/b/file")) == "one");
    CHECK(inode_of(copy.path("try/a/b/file")) != inode_of(copy.path("main/a/b/file")));
    CHECK(get_mark(copy.path("try"), "tree").empty());
  } else {
    CHECK(fs::exists(copy.base.path("quarantine/try")) == has_marks);
  }
  must(forest->fork("main", "again"));
  CHECK(forest->lookup(*must(forest->lookup(*forest->root(), "again")).node, "top"));
  // Where it was made, nothing has changed.
  CHECK(world.check().whole());
}

TEST_CASE("links between trees are found and cut, those within one stay", "[forest]") {
  World world;
  world.make_family();
  fs::create_directories(world.path("one/below"));
  fs::create_directory(world.path("two"));
  put_bytes(world.path("one/file"), "shared");
  fs::create_hard_link(world.path("one/file"), world.path("one/below/again"));
  fs::create_hard_link(world.path("one/file"), world.path("two/x"));
  fs::create_hard_link(world.path("one/file"), world.path("two/y"));
  fs::create_hard_link(world.path("main/top"), world.path("one/top"));
  fs::permissions(world.path("one/file"), fs::perms(0641));
  REQUIRE(::setxattr(world.path("two/x").c_str(), "user.note", "kept", 4, 0) == 0);
  struct stat before{};
  struct stat directory{};
  REQUIRE(::stat(world.path("two/x").c_str(), &before) == 0);
  REQUIRE(::stat(world.path("two").c_str(), &directory) == 0);
  const ino_t shared_by_fork = inode_of(world.path("main/top"));

  auto shared = must(find_shared_files({world.trees()}));
  REQUIRE(shared.size() == 2);
  for (const SharedFile& one : shared) {
    REQUIRE(cut_shared_file(one, world.base.path("scratch")).has_value());
  }
  CHECK(must(find_shared_files({world.trees()})).empty());
  CHECK(fs::is_empty(world.base.path("scratch")));
  CHECK(inode_of(world.path("main/top")) == shared_by_fork);
  CHECK(inode_of(world.path("one/top")) != shared_by_fork);
  CHECK(inode_of(world.path("one/file")) == inode_of(world.path("one/below/again")));
  CHECK(inode_of(world.path("two/x")) == inode_of(world.path("two/y")));
  CHECK(inode_of(world.path("two/x")) != inode_of(world.path("one/file")));
  struct stat after{};
  REQUIRE(::stat(world.path("two/x").c_str(), &after) == 0);
  CHECK(after.st_mode == before.st_mode);
  CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
  struct stat directory_after{};
  REQUIRE(::stat(world.path("two").c_str(), &directory_after) == 0);
  CHECK(directory_after.st_mtim.tv_nsec == directory.st_mtim.tv_nsec);
  char value[8];
  CHECK(::getxattr(world.path("two/y").c_str(), "user.note", value, sizeof value) == 4);
  CHECK(bytes_of(world.path("two/y")) == "shared");
}

TEST_CASE("cutting links that a crash cut short ends with one copy", "[forest]") {
  World world;
  fs::create_directory(world.path("one"));
  fs::create_directory(world.path("two"));
  put_bytes(world.path("one/file"), "shared");
  fs::create_hard_link(world.path("one/file"), world.path("two/x"));
  fs::create_hard_link(world.path("one/file"), world.path("two/y"));
  SharedFile half = must(find_shared_files({world.trees()})).at(0);
  const std::string scratch = world.base.path("scratch");
  // As after a crash between the names: the second cannot be put, so the copy waits.
  std::swap(half.cut.front(), half.cut.back());
  half.cut.back() = world.path("none/y");
  REQUIRE_FALSE(cut_shared_file(half, scratch).has_value());
  const auto rest = must(find_shared_files({world.trees()}));
  REQUIRE(rest.size() == 1);
  REQUIRE(cut_shared_file(rest.front(), scratch).has_value());
  CHECK(inode_of(world.path("two/x")) == inode_of(world.path("two/y")));
  CHECK(inode_of(world.path("two/x")) != inode_of(world.path("one/file")));
  CHECK(fs::is_empty(scratch));
}

TEST_CASE("What an ordinary user's daemon has marked, root's goes on with and fsck knows") {
  World world;
  world.make_family({.trusted = false});
  CHECK(world.check().whole());
  {
    auto forest = world.open();
    const auto fork = must(forest->lookup(*forest->root(), "try")).node;
    CHECK(must(forest->lookup(*fork, "a")).node->type() == S_IFDIR);
    CHECK(read_file(*forest, *must(forest->lookup(*fork, "top")).node) == "top");
    REQUIRE(forest->unlink(*fork, "top", kMyself));
    must(forest->fork("try", "again"));
  }
  auto forest = world.open({.trusted = false});
  const auto again = must(forest->lookup(*forest->root(), "again")).node;
  CHECK(!forest->lookup(*again, "top"));
  CHECK(must(forest->lookup(*again, "a")).node->type() == S_IFDIR);
  forest.reset();
  CHECK(world.check().whole());
}

}  // namespace
}  // namespace agentfs::test
