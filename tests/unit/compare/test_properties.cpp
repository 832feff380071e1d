// SPDX-License-Identifier: MIT
// Random trees against the git program.
#include "compare_fixture.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

// The tree that `git merge` makes, in `merged`; false where it finds conflicts.
bool merge_by_git(const ThreeTrees& trees, bool directory_renames = false) {
  trees.sh(fmt::format(
      "rm -rf repo merged && mkdir repo merged && cd repo && git init -q . && "
      "git config core.fileMode true && git config core.autocrlf false && "
      "git config merge.directoryRenames {} && git config merge.renameLimit 0 && "
      "for tree in base ours theirs; do"
      "  export GIT_WORK_TREE=$(pwd)/../$tree GIT_DIR=$(pwd)/.git;"
      "  git add -A -f . && git commit -q --allow-empty -m $tree && git branch -q b-$tree;"
      "  git symbolic-ref HEAD refs/heads/side-$tree; git update-ref HEAD b-base; done",
      directory_renames));
  const Ran ran = run_in(trees.path("repo"),
                         "git merge-tree --write-tree b-ours b-theirs > ../tree && "
                         "git archive $(cat ../tree) | tar x -C ../merged");
  INFO(ran.output);
  REQUIRE(ran.status <= 1);
  return ran.status == 0;
}

// What is clean, made and undone.
void check_undo(ThreeTrees& trees, const std::vector<std::string>& before) {
  const MergeSides sides = trees.sides();
  const MergePlan plan = must(trees.merger->plan(sides, {}));
  const std::string record =
      must(trees.merger->stage(sides, plan, {.partial = true, .durable = false}));
  must(trees.merger->apply(sides.ours, record));
  must(trees.merger->undo(sides.ours, record));
  must(trees.merger->finish(sides.ours, record, {}));
  REQUIRE(describe(trees.path("ours"), kExactly) == before);
}

}  // namespace

TEST_CASE("A diff of random trees, applied by git, gives the other tree") {
  const int count = seeds(15);
  for (int seed = 0; seed < count; ++seed) {
    INFO("seed " << seed);
    ThreeTrees trees;
    trees.file_handles = seed % 3 != 0;
    Editor editor(static_cast<unsigned>(seed), seed % 2 == 1);
    editor.fill(trees.path("base"), 15);
    trees.fork();
    editor.edit(trees.path("theirs"), 12);
    trees.check_patch();
  }
}

TEST_CASE("A merge of random trees is git's, where git finds one") {
  const int count = seeds(15);
  int clean = 0;
  for (int seed = 0; seed < count; ++seed) {
    INFO("seed " << seed);
    ThreeTrees trees;
    trees.file_handles = seed % 3 != 0;
    Editor editor(static_cast<unsigned>(seed), seed % 2 == 1);
    editor.fill(trees.path("base"), 25);
    trees.fork();
    editor.edit(trees.path("ours"), 4);
    editor.edit(trees.path("theirs"), 4);
    const auto before = describe(trees.path("ours"), kExactly);
    INFO("ours:\n"
         << trees.comparer->status(
                must(trees.comparer->changes(trees.side("base"), trees.side("ours"), {})))
         << "theirs:\n"
         << trees.status());
    const bool is_clean = merge_by_git(trees);
    const std::string conflicts = trees.conflicts();
    INFO(conflicts);
    REQUIRE(conflicts.empty() == is_clean);
    check_undo(trees, before);
    const Status merged = trees.merge();
    REQUIRE(merged.has_value() == is_clean);
    if (!is_clean) {
      REQUIRE(describe(trees.path("ours"), kExactly) == before);
      continue;
    }
    REQUIRE(describe(trees.path("ours")) == describe(trees.path("merged")));
    ++clean;
  }
  CHECK((count < 40 || clean * 4 > count));
}

// Of what it is not sure of git makes a conflict, and new directories it leaves where they were;
// all else that it takes, we take.
TEST_CASE("A merge beside a renamed directory is git's, where git finds one") {
  const int count = seeds(15);
  int clean = 0;
  for (int seed = 0; seed < count; ++seed) {
    INFO("seed " << seed);
    ThreeTrees trees;
    Editor editor(static_cast<unsigned>(seed), seed % 2 == 1);
    editor.fill(trees.path("base"), 25);
    trees.fork();
    const bool is_ours = seed % 3 == 0;
    if (!editor.rename_directory(trees.path(is_ours ? "ours" : "theirs"))) continue;
    editor.fill_beside(trees.path(is_ours ? "theirs" : "ours"), 8);
    const auto before = describe(trees.path("ours"), kExactly);
    const std::string conflicts = trees.conflicts();
    INFO(conflicts);
    check_undo(trees, before);
    if (!merge_by_git(trees, true)) continue;
    REQUIRE(conflicts.empty());
    REQUIRE(trees.merge());
    REQUIRE(describe(trees.path("ours")) == describe(trees.path("merged")));
    ++clean;
  }
  CHECK((count < 40 || clean * 4 > count));
}

}  // namespace agentfs::test
