// SPDX-License-Identifier: MIT
// Records of a forest that are removed past the daemon are missed.
#include <sys/xattr.h>

#include "backends/trees/forest_check.h"
#include "base/text.h"
#include "forest_fixture.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

struct Kept {
  TemporaryDirectory base;
  std::string trees() const { return base.path("trees"); }
  std::string hidden() const { return base.path("hidden"); }
  std::unique_ptr<Forest> open() { return must(open_forest(trees(), hidden())); }
  Findings check() { return must(check_forest(trees(), hidden())); }

  // Checkpoints, what changed since, a rollback, and a fork.
  Kept() {
    fs::create_directory(trees());
    auto forest = open();
    const auto main = make_directory(*forest, *forest->root(), "main");
    const auto a = make_directory(*forest, *main, "a");
    make_file(*forest, *a, "file", "one");
    make_file(*forest, *a, "other", "one");
    const SnapshotId first = must(forest->snapshot("main", "first"));
    make_file(*forest, *a, "second", "two");
    must(forest->snapshot("main", "second"));
    make_file(*forest, *a, "third", "three");
    must(forest->rollback("main", first));
    must(forest->fork("main", "try"));
    make_file(*forest, *must(forest->lookup(*forest->root(), "main")).node, "later", "later");
  }

  // Paths below the room, of those whose name begins so.
  std::vector<std::string> records(const std::string& kind) const {
    std::vector<std::string> found;
    for (const auto& line : fs::directory_iterator(hidden() + "/lines")) {
      if (!line.is_directory()) continue;
      for (const auto& record : fs::directory_iterator(line)) {
        const std::string name = record.path().filename();
        if (name.starts_with(kind + ".")) found.push_back(record.path());
      }
    }
    return found;
  }
};

bool tells(const Findings& found, const std::string& words) {
  return std::ranges::any_of(found.problems,
                             [&](const std::string& one) { return one.contains(words); });
}

std::string mark_name(const char* name) {
  return fmt::format("{}{}", ::geteuid() == 0 ? "trusted.agentfs." : "user.agentfs.forest.", name);
}

// Of a directory that is none: nothing.
std::string mark_of(const std::string& path, const char* kind = "hollow") {
  char value[512];
  const ssize_t length = ::getxattr(path.c_str(), mark_name(kind).c_str(), value, sizeof value);
  return length < 0 ? std::string() : std::string(value, static_cast<std::size_t>(length));
}

void set_mark(const std::string& path, const std::string& mark, const char* kind = "hollow") {
  REQUIRE(::setxattr(path.c_str(), mark_name(kind).c_str(), mark.data(), mark.size(), 0) == 0);
}

TEST_CASE("each record of a forest that is removed is missed, by its name", "[forest]") {
  const std::string kind =
      GENERATE("snap", "hidden", "past", "source", "sources", "base", "retired");
  Kept kept;
  REQUIRE(kept.check().whole());
  const std::vector<std::string> records = kept.records(kind);
  INFO(kind);
  REQUIRE(!records.empty());
  for (const std::string& record : records) {
    const fs::path aside = kept.base.path("aside");
    fs::rename(record, aside);
    INFO(fmt::format("{} {}", record, fmt::join(kept.check().problems, "; ")));
    CHECK(tells(kept.check(), fs::path(record).filename().string() + " is gone"));
    fs::rename(aside, record);
  }
  CHECK(kept.check().whole());
}

TEST_CASE("a record that came from elsewhere is told as such", "[forest]") {
  Kept kept;
  const std::string from = kept.records("source").front();
  const fs::path line = fs::path(from).parent_path();
  const std::string foreign = fmt::format("source.{}.3", line.filename().string());
  REQUIRE(!fs::exists(fs::symlink_status(line / foreign)));
  fs::create_symlink("-", line / foreign);
  INFO(fmt::format("{}", fmt::join(kept.check().problems, "; ")));
  CHECK(tells(kept.check(), "nobody here made its record " + foreign));
}

TEST_CASE("a record that is gone is missed by those who go on, until fsck goes on without it",
          "[forest]") {
  Kept kept;
  const std::string record = kept.records("past").front();
  fs::remove_all(record);
  {
    auto forest = kept.open();
    must(forest->snapshot("main", "more"));
    make_file(*forest, *must(forest->lookup(*forest->root(), "main")).node, "more", "more");
  }
  CHECK(tells(kept.check(), fs::path(record).filename().string() + " is gone"));
  CHECK(!must(mend_forest_marks(kept.trees(), kept.hidden())).empty());
  CHECK(!tells(kept.check(), "is gone"));
  CHECK(must(mend_forest_marks(kept.trees(), kept.hidden())).empty());
}

TEST_CASE("several records that are gone are missed", "[forest]") {
  Kept kept;
  for (const std::string& record : kept.records("snap")) fs::remove(record);
  CHECK(tells(kept.check(), "some of its records are gone"));
}

TEST_CASE("a name that is gone from a kept directory is missed", "[forest]") {
  Kept kept;
  std::size_t removed = 0;
  for (const std::string& record : kept.records("past")) {
    for (const auto& entry : fs::directory_iterator(record)) {
      const fs::path aside = kept.base.path("aside");
      fs::rename(entry, aside);
      CHECK(tells(kept.check(), "has not the entries that it was kept with"));
      fs::rename(aside, entry);
      ++removed;
    }
  }
  CHECK(removed > 2);
  CHECK(kept.check().whole());
}

// Another digit at the end of a handle.
std::string flipped(std::string text) {
  text.back() = text.back() == '0' ? '1' : '0';
  return text;
}

TEST_CASE("a kept directory's mark with a handle that leads nowhere is told", "[forest]") {
  Kept kept;
  std::size_t damaged = 0;
  for (const std::string& record : kept.records("past")) {
    for (const auto& entry : fs::directory_iterator(record)) {
      const std::string whole = mark_of(entry.path());
      if (whole.empty()) continue;
      INFO(entry.path());
      set_mark(entry.path(), flipped(whole));
      CHECK(tells(kept.check(), "has lost its mark"));
      // As an earlier build has written it, without a sum.
      set_mark(entry.path(), flipped(whole.substr(0, whole.rfind(' '))));
      CHECK(tells(kept.check(), "reads from what is not there"));
      set_mark(entry.path(), whole);
      ++damaged;
    }
  }
  CHECK(damaged > 0);
  CHECK(kept.check().whole());
}

TEST_CASE("a state's record with a handle that leads nowhere is told", "[forest]") {
  const std::string kind = GENERATE("snap", "hidden");
  Kept kept;
  const std::vector<std::string> records = kept.records(kind);
  REQUIRE(!records.empty());
  for (const std::string& record : records) {
    // "<shown> <time> <inode> <type> <handle> <label>"
    const std::string whole = fs::read_symlink(record);
    std::size_t end = 0;
    for (int word = 0; word < 5; ++word) end = whole.find(' ', end + 1);
    REQUIRE(end != std::string::npos);
    fs::remove(record);
    fs::create_symlink(flipped(whole.substr(0, end)) + whole.substr(end), record);
    INFO(fmt::format("{} {}", record, whole));
    CHECK(tells(kept.check(), "reads from what is not there"));
    fs::remove(record);
    fs::create_symlink(whole, record);
  }
  CHECK(kept.check().whole());
}

TEST_CASE("repair goes on without a name that is gone from a kept directory", "[forest]") {
  const std::string name = GENERATE("a", "file", "other", "second");
  Kept kept;
  std::size_t removed = 0;
  for (const std::string& record : kept.records("past")) {
    removed += fs::remove_all(record + "/" + name) != 0 ? 1 : 0;
  }
  const auto told = must(mend_forest_marks(kept.trees(), kept.hidden()));
  INFO(fmt::format("{}: {}", name, fmt::join(told, "; ")));
  CHECK(std::ranges::count_if(told, [](const std::string& one) {
          return one.contains("is kept with the entries that it has");
        }) == static_cast<std::ptrdiff_t>(removed));
  CHECK(told.size() == removed);
  CHECK(removed != 0);
  CHECK(kept.check().whole());
}

TEST_CASE("records may go when no state reads them any more", "[forest]") {
  Kept kept;
  {
    auto forest = kept.open();
    for (const TreeInfo& tree : forest->family()) {
      for (const SnapshotInfo& state : tree.snapshots) {
        if (!state.hidden) must(forest->drop(state.id));
      }
    }
    must(forest->drop("try"));
    (void)must(forest->collect());
  }
  const Findings found = kept.check();
  INFO(fmt::format("{}", found.problems.empty() ? "" : found.problems.front()));
  CHECK(found.whole());
}

// As a kill leaves it while one line after the other is relieved of what nobody reads.
TEST_CASE("what a root reads that nobody reads any more may go before it", "[forest]") {
  Kept kept;
  const fs::path root = fs::path(kept.records("base").front()).parent_path() / "retired.77";
  fs::create_directories(root / "gone");
  set_mark(root / "gone", "1 1 99999999 1 0102");
  CHECK(must(mend_forest_marks(kept.trees(), kept.hidden())).size() == 1);
  const Findings found = kept.check();
  INFO(fmt::format("{}", fmt::join(found.problems, "; ")));
  CHECK(found.whole());
}

// Marks with every word in its place, of which one is another: of a state that is there, too.
TEST_CASE("a mark of a hollow directory that was changed past the daemon is told", "[forest]") {
  Kept kept;
  {
    const auto forest = kept.open();
    make_file(*forest, *must(forest->lookup(*forest->root(), "try")).node, "new", "new");
  }
  const std::string path = kept.trees() + "/try/a";
  const std::string whole = mark_of(path);
  const auto set = [&](const std::vector<std::string>& words) {
    set_mark(path, fmt::format("{}", fmt::join(words, " ")));
  };
  std::vector<std::string> words;
  for (const std::string_view word : text::words(whole)) words.emplace_back(word);
  REQUIRE(words.size() == 6);
  REQUIRE(kept.check().whole());
  SECTION("another state") {
    words[1] = words[1] == "1" ? "2" : "1";
    set(words);
    CHECK(tells(kept.check(), "try/a"));
    CHECK(must(mend_forest_marks(kept.trees(), kept.hidden())).size() == 1);
    CHECK(kept.check().whole());
  }
  SECTION("another sum") {
    words.back().front() = words.back().front() == '0' ? '1' : '0';
    set(words);
    CHECK(tells(kept.check(), "try/a"));
    const auto forest = kept.open();
    const auto fork = must(forest->lookup(*forest->root(), "try")).node;
    const auto a = forest->lookup(*fork, "a");
    CHECK((!a || !forest->lookup(*a->node, "file")));
  }
  SECTION("none: an earlier build's") {
    words.pop_back();
    set(words);
    CHECK(kept.check().whole());
    const auto forest = kept.open();
    const auto fork = must(forest->lookup(*forest->root(), "try")).node;
    const auto a = must(forest->lookup(*fork, "a")).node;
    CHECK(read_file(*forest, *must(forest->lookup(*a, "file")).node) == "one");
  }
}

TEST_CASE("marks of hollow directories that have changed places are told", "[forest]") {
  Kept kept;
  {
    const auto forest = kept.open();
    const auto main = must(forest->lookup(*forest->root(), "main")).node;
    make_file(*forest, *make_directory(*forest, *main, "b"), "file", "of b");
    must(forest->fork("main", "third"));
    make_file(*forest, *must(forest->lookup(*forest->root(), "third")).node, "new", "new");
  }
  CHECK(kept.check().whole());
  const std::array paths{kept.trees() + "/third/a", kept.trees() + "/third/b"};
  const std::array marks{mark_of(paths[0]), mark_of(paths[1])};
  REQUIRE((!marks[0].empty() && !marks[1].empty()));
  set_mark(paths[0], marks[1]);
  set_mark(paths[1], marks[0]);
  CHECK(tells(kept.check(), "third/a: "));
  CHECK(tells(kept.check(), "third/b: "));
  CHECK(must(mend_forest_marks(kept.trees(), kept.hidden())).size() == 2);
  CHECK(kept.check().whole());
  CHECK(std::array{mark_of(paths[0]), mark_of(paths[1])} == marks);
  // Those of their numbers: what they read is right, and stays.
  const std::array numbers{mark_of(paths[0], "file"), mark_of(paths[1], "file")};
  set_mark(paths[0], numbers[1], "file");
  set_mark(paths[1], numbers[0], "file");
  CHECK(tells(kept.check(), "third/a: has number "));
  CHECK(must(mend_forest_marks(kept.trees(), kept.hidden())).empty());
  CHECK(std::array{mark_of(paths[0]), mark_of(paths[1])} == marks);
}

TEST_CASE("a directory that loses its number takes nothing from a fork that reads it", "[forest]") {
  Kept kept;
  {
    const auto forest = kept.open();
    const auto main = must(forest->lookup(*forest->root(), "main")).node;
    make_file(*forest, *make_directory(*forest, *main, "b"), "file", "of b");
    must(forest->fork("main", "second"));
    const auto second = must(forest->lookup(*forest->root(), "second")).node;
    make_file(*forest, *must(forest->lookup(*second, "a")).node, "new", "new");
    must(forest->fork("second", "third"));
    make_file(*forest, *must(forest->lookup(*forest->root(), "third")).node, "new", "new");
  }
  CHECK(kept.check().whole());
  const std::string mark = mark_of(kept.trees() + "/third/a");
  REQUIRE_FALSE(mark.empty());
  const std::string read = kept.trees() + "/second/a";
  REQUIRE(::removexattr(read.c_str(), mark_name("file").c_str()) == 0);
  CHECK(tells(kept.check(), "third/a: has number "));
  CHECK(must(mend_forest_marks(kept.trees(), kept.hidden())).empty());
  CHECK(mark_of(kept.trees() + "/third/a") == mark);
  const auto forest = kept.open();
  const auto third = must(forest->lookup(*forest->root(), "third")).node;
  const auto a = must(forest->lookup(*third, "a")).node;
  CHECK(read_file(*forest, *must(forest->lookup(*a, "new")).node) == "new");
}

TEST_CASE("a line of an earlier build begins its roll with its next change", "[forest]") {
  Kept kept;
  for (const auto& line : fs::directory_iterator(kept.hidden() + "/lines")) {
    if (line.is_directory()) ::removexattr(line.path().c_str(), mark_name("roll").c_str());
  }
  CHECK(kept.check().whole());
  {
    auto forest = kept.open();
    must(forest->snapshot("main", "more"));
  }
  CHECK(kept.check().whole());
  fs::remove(kept.records("snap").front());
  CHECK(tells(kept.check(), " is gone"));
}

TEST_CASE("what an earlier build kept by number alone is read", "[forest]") {
  Kept kept;
  for (const std::string& record : kept.records("past")) {
    const std::size_t handle = record.rfind('.');
    REQUIRE(std::ranges::count(fs::path(record).filename().string(), '.') == 3);
    fs::rename(record, record.substr(0, handle));
  }
  must(mend_forest_marks(kept.trees(), kept.hidden()));  // the roll
  CHECK(kept.check().whole());
  auto forest = kept.open();
  REQUIRE(forest->fork(SnapshotId{1, 2}, "state"));
  const auto state = must(forest->lookup(*forest->root(), "state")).node;
  const auto a = must(forest->lookup(*state, "a")).node;
  CHECK(read_file(*forest, *must(forest->lookup(*a, "second")).node) == "two");
  CHECK(!forest->lookup(*a, "third"));
  CHECK(forest->lookup(*must(forest->lookup(*forest->root(), "main")).node, "later"));
}

}  // namespace
}  // namespace agentfs::test
