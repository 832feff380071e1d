// SPDX-License-Identifier: MIT
// Which files git's index says are as they were, and what a checkpoint's commit copies then.
#include "kernel/clean_files.h"

#include <map>
#include <string>

#include "backends/trees/trees.h"
#include "base/text.h"
#include "kernel/checkpoint_stage.h"
#include "kernel/tree_path.h"
#include "support/must.h"
#include "unit/git/git_fixture.h"

namespace agentfs::test {
namespace {

// Files that are older than the index, and links.
struct Clean : GitWorkspace {
  Clean() {
    sh("git init -q . && mkdir src && for n in $(seq 300); do echo $n > src/f$n; done &&"
       "printf 'four' > plain && printf 'four' > program && chmod +x program && ln -s plain link &&"
       "touch empty && touch -h -d '1 hour ago' plain program link empty src/* && git add -A");
  }
  // Of the paths that are found clean, what the index says.
  std::map<std::string, std::string> clean() const {
    const auto store = must(open_tree_store(worktree));
    const CleanFiles files = CleanFiles::of(*store, *store->root());
    std::map<std::string, std::string> found;
    const std::string listed = sh("git ls-files");
    for (const std::string_view line : text::lines(listed)) {
      const std::string path(line);
      const auto entry = find_in_tree(*store, store->root(), path);
      const auto known = entry ? files.find(path, entry->attributes) : std::nullopt;
      if (known) found[path] = fmt::format("{}{}", static_cast<char>(known->kind), known->id);
    }
    return found;
  }
};

}  // namespace

TEST_CASE("a file that is as the index says has its blob") {
  const Clean space;
  const auto clean = space.clean();
  CHECK(clean.size() == 303);  // but for the empty one
  const std::string four = std::string(text::trim(space.sh("git hash-object plain")));
  CHECK(clean.at("plain") == "f" + four);
  CHECK(clean.at("program") == "x" + four);
  CHECK(clean.at("link") == "l" + std::string(text::trim(space.sh("git rev-parse :link"))));
}

TEST_CASE("a file that differs in anything that git's index tells is read") {
  for (const char* change :
       {"printf more >> plain", "printf five > plain && touch -d '1 hour ago' plain",
        "cp -p plain k && printf five > k && touch -r plain k && mv k plain", "chmod +x plain",
        "touch plain", "rm plain && ln -s four plain", "rm plain && mkdir plain",
        "rm plain && ln program plain", "git add -N plain; git rm -q --cached plain",
        "git update-index --cacheinfo 100644,$(git rev-parse :plain),plain",
        "touch -d '2 hours ago' .git/index",
        "touch -d \"$(stat -c %y plain | sed 's/[.].*/.999999999/')\" .git/index"}) {
    INFO(change);
    const Clean space;
    REQUIRE(space.clean().contains("plain"));
    space.sh(change);
    CHECK_FALSE(space.clean().contains("plain"));
  }
}

TEST_CASE("the sides of a conflict are none of a file, and an index that is none is of nothing") {
  const Clean space;
  space.sh(
      "git commit -qm one && git checkout -q -b theirs && echo 2 > plain && git commit -qam 2 &&"
      "git checkout -q main && echo 3 > plain && git commit -qam 3 && ! git merge -q theirs");
  CHECK_FALSE(space.clean().contains("plain"));
  space.sh("cp .git/index kept && head -c 100 kept > .git/index");
  const auto store = must(open_tree_store(space.worktree));
  const auto entry = must(find_in_tree(*store, store->root(), "program"));
  CHECK_FALSE(CleanFiles::of(*store, *store->root()).find("program", entry.attributes));
}

TEST_CASE("of many files those are copied that git has not read, and rules in any case") {
  const Clean space;
  space.sh(
      "echo '*.o' > src/.gitignore && touch -d '1 hour ago' src/.gitignore && git add -A &&"
      "printf 999 > src/f7 && echo new > src/new");
  const auto store = must(open_tree_store(space.worktree));
  const std::string top = space.worktree + "/../staged";
  for (const bool reads_all : {false, true}) {
    CheckpointStage stage = must(CheckpointStage::make(*store, top, reads_all));
    REQUIRE(stage.add(store->root(), ""));
    const auto known = stage.take_known();
    CHECK(known.size() <= (reads_all ? 0 : 306 - 100));
    CHECK(known.size() >= (reads_all ? 0 : 306 - 100 - 3));  // which may be of the first hundred
    for (const KnownFile& file : known) {
      const bool is_copied = file::exists(fmt::format("{}/{}", top, file.path));
      CHECK(is_copied == (file.path == "src/.gitignore"));
    }
    for (const char* path : {"src/f7", "src/new", "src/.gitignore"}) {
      CHECK(file::exists(fmt::format("{}/{}", top, path)));
    }
  }
}

}  // namespace agentfs::test
