// SPDX-License-Identifier: MIT
#include "backends/compare/content.h"
#include "compare_fixture.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

// A text that is unlike those of other names.
std::string text_of(const std::string& name, int lines = 20) {
  std::string text;
  for (int line = 0; line < lines; ++line) text += fmt::format("{} has line {}\n", name, line);
  return text;
}

}  // namespace

TEST_CASE("A content has one digest, whatever its size was believed to be") {
  ThreeTrees trees;
  trees.write("base", "small", "bytes");
  trees.write("base", "large", std::string(std::size_t{600} << 10, 'x') + "end");
  for (const char* const name : {"small", "large"}) {
    compare::PathFinder finder(trees.side("base"));
    const compare::Leaf leaf = must(finder.leaf(name));
    const std::string digest = must(compare::digest_of(leaf));
    for (const off_t believed : {0, 4, 5, 300 << 10, 2 << 20}) {
      compare::Leaf stale = leaf;
      stale.entry.attributes.st_size = believed;
      CHECK(must(compare::digest_of(stale)) == digest);
      CHECK(must(compare::read_leaf(stale, 1 << 20)) == must(compare::read_leaf(leaf, 1 << 20)));
    }
  }
}

TEST_CASE("Status tells each kind of change in a line") {
  ThreeTrees trees;
  for (const char* const name : {"changed", "gone", "moved", "moved and changed", "mode", "type"}) {
    trees.write("base", name, text_of(name));
  }
  trees.write("base", "same/file", "same");
  fs::create_symlink("here", trees.path("base", "link"));
  trees.fork();
  trees.write("theirs", "changed", "other");
  trees.sh(
      "cd theirs && rm gone type && mkdir d && mv moved d/ && mv 'moved and changed' d/new &&"
      "echo more >> d/new && chmod 755 mode && ln -s x type && ln -sfn there link && touch added &&"
      "touch -d 2001-01-01 same/file");
  CHECK(trees.status() ==
        "A\tadded\n"
        "M\tchanged\n"
        "R100\tmoved\td/moved\n"
        "R097\tmoved and changed\td/new\n"
        "D\tgone\n"
        "M\tlink\n"
        "M\tmode\tmode 644 755\n"
        "T\ttype\n");
  CompareOptions plain;
  plain.renames = false;
  CHECK(trees.status(plain).find("A\td/moved\nA\td/new\nD\tgone\n") != std::string::npos);
}

TEST_CASE("Names are quoted as git quotes them") {
  ThreeTrees trees;
  trees.write("theirs", "caf\xc3\xa9", "1");
  trees.write("theirs", "two words", "2");
  trees.write("theirs", "tab\tand\nline \"q\" \\", "3");
  trees.write("theirs", "\xff\x01", "4");
  CHECK(trees.status() ==
        "A\t\"caf\\303\\251\"\n"
        "A\t\"tab\\tand\\nline \\\"q\\\" \\\\\"\n"
        "A\ttwo words\n"
        "A\t\"\\377\\001\"\n");
}

TEST_CASE("Files and directories in each other's place are two changes") {
  ThreeTrees trees;
  trees.write("base", "file", text_of("file"));
  trees.write("base", "directory/inside", text_of("inside"));
  trees.write("theirs", "file/inside", "new");
  trees.write("theirs", "directory", "new");
  CHECK(trees.status() == "A\tdirectory\nD\tdirectory/inside\nD\tfile\nA\tfile/inside\n");
  trees.check_patch();
}

TEST_CASE("Directories are told where they are empty or their permissions changed") {
  ThreeTrees trees;
  trees.sh(
      "mkdir base/was base/both base/same && cp -a base/both base/same theirs/ &&"
      "mkdir -p theirs/new/deep theirs/full && touch theirs/full/file && chmod 700 theirs/both");
  CHECK(trees.status() == "M\tboth/\tmode 755 700\nA\tfull/file\nA\tnew/deep/\nD\twas/\n");
}

TEST_CASE("A .git directory is one line, its files, or nothing") {
  ThreeTrees trees;
  trees.write("base", ".git/HEAD", "a");
  trees.write("base", "sub/.git/HEAD", "a");
  trees.fork();
  trees.write("theirs", ".git/HEAD", "b");
  trees.write("theirs", ".git/index", "b");
  trees.write("theirs", "new/.git", "gitdir: elsewhere");
  CompareOptions options;
  CHECK(trees.status() == "M\t.git/\nA\tnew/.git\n");
  CHECK(trees.diff() ==
        "# .git/: differs; not part of this patch\n"
        "# new/.git: was added; not part of this patch\n");
  options.git = CompareOptions::GitDirectories::inside;
  CHECK(trees.status(options) == "M\t.git/HEAD\nA\t.git/index\nA\tnew/.git\n");
  options.git = CompareOptions::GitDirectories::hidden;
  CHECK(trees.status(options) == "A\tnew/\n");
}

TEST_CASE("What a merge has made ready is never looked at, and all that is somebody's own is") {
  ThreeTrees trees;
  trees.write("theirs", ".agentfs/notes", "x");
  trees.write("theirs", "sub/.agentfs/plan", "x");
  trees.write("theirs", "sub/file", "x");
  trees.write("theirs", std::string(kMergeDirectory) + "/n1", "x");
  trees.write("theirs", ".agentfsrc", "x");
  CHECK(trees.status() == "A\t.agentfs/notes\nA\t.agentfsrc\nA\tsub/.agentfs/plan\nA\tsub/file\n");
}

TEST_CASE("What is known to be the same is neither read nor walked") {
  ThreeTrees trees;
  trees.write("base", "tree/file", "one");
  trees.write("base", "file", "one");
  trees.fork();
  trees.write("theirs", "tree/file", "two");
  trees.write("theirs", "file", "two");
  CompareOptions options;
  int asked = 0;
  options.same = [&](const TreeEntry& before, const TreeEntry& after) {
    ++asked;
    return before.node->type() == S_IFDIR && after.node->type() == S_IFDIR;
  };
  CHECK(trees.status(options) == "M\tfile\n");
  CHECK(asked == 2);
  options.cancelled = [] { return true; };
  options.same = {};
  trees.sh("cd theirs && for i in $(seq 300); do echo > f$i; done");
  const auto ended = trees.comparer->changes(trees.side("base"), trees.side("theirs"), options);
  REQUIRE(!ended);
  CHECK(ended.error().code == EINTR);
}

TEST_CASE("Renames are found by inode, by bytes, by likeness") {
  ThreeTrees trees;
  SECTION("hard links, as a fork has them") {
    trees.write("base", "old", "x");
    fs::create_hard_link(trees.path("base", "old"), trees.path("theirs", "new"));
    CHECK(trees.status() == "R100\told\tnew\n");
  }
  SECTION("an inode that is never given away again") {
    trees.write("base", "old", text_of("old"));
    fs::create_hard_link(trees.path("base", "old"), trees.path("theirs", "new"));
    trees.sh("rm -rf base && mkdir base && cp theirs/new base/old");
    CHECK(trees.status() == "R100\told\tnew\n");
    trees.write("theirs", "new", "all other");
    CHECK(trees.status() == "A\tnew\nD\told\n");
  }
  SECTION("of equal files the one of the same name") {
    for (const char* const name : {"a/one", "b/two", "c/three"}) trees.write("base", name, "equal");
    for (const char* const name : {"d/two", "e/one"}) trees.write("theirs", name, "equal");
    CHECK(trees.status() == "D\tc/three\nR100\tb/two\td/two\nR100\ta/one\te/one\n");
  }
  SECTION("empty files are not") {
    trees.write("base", "old", "");
    trees.write("theirs", "new", "");
    CHECK(trees.status() == "A\tnew\nD\told\n");
  }
  SECTION("a link is no file of its target's bytes") {
    trees.write("base", "old", "target");
    fs::create_symlink("target", trees.path("theirs", "new"));
    CHECK(trees.status() == "A\tnew\nD\told\n");
  }
  SECTION("too many for likeness are still paired by bytes") {
    CompareOptions options;
    options.inexact_files = 1;
    for (const char* const name : {"x", "y"}) trees.write("base", name, text_of(name));
    trees.write("theirs", "x2", text_of("x"));
    trees.write("theirs", "y2", text_of("y") + "more\n");
    CHECK(trees.status(options) == "R100\tx\tx2\nR097\ty\ty2\n");
    trees.write("theirs", "x2", text_of("x") + "more\n");
    CHECK(trees.status(options) == "D\tx\nA\tx2\nD\ty\nA\ty2\n");
  }
}

TEST_CASE("Special files are compared and named") {
  ThreeTrees trees;
  trees.sh("mkfifo base/pipe theirs/pipe theirs/new && touch base/file && mkfifo theirs/file");
  CHECK(trees.status() == "T\tfile\nA\tnew\n");
  CHECK(
      trees.diff().starts_with("# file: a special file became a file of another type\n"
                               "# new: a special file was added\n"
                               "diff --git a/file b/file\ndeleted file mode 100644\n"));
}

TEST_CASE("Trees a thousand levels deep are compared, and merged") {
  ThreeTrees trees;
  const std::string level(120, 'd');
  constexpr int kLevels = 1000;
  for (const char* const tree : {"base", "ours", "theirs"}) {
    auto store = must(open_tree_store(trees.path(tree)));
    TreeNodeRef at = store->root();
    for (int depth = 0; depth < kLevels; ++depth) {
      at = must(store->make_directory(*at, level, 0755, {})).node;
    }
    const auto made = must(store->create(*at, "leaf", O_WRONLY, 0644, {}));
    must(file::write_all(made.file->descriptor(), tree == std::string("theirs") ? "2" : "1"));
  }
  const auto found = trees.changes();
  REQUIRE(found.size() == 1);
  CHECK(found[0].path.size() == kLevels * (level.size() + 1) + 4);
  CHECK(
      trees.diff().ends_with("@@ -1 +1 @@\n-1\n\\ No newline at end of file\n"
                             "+2\n\\ No newline at end of file\n"));
  must(trees.merge());
  CHECK(must(trees.comparer->changes(trees.side("ours"), trees.side("theirs"), {})).empty());
}

TEST_CASE("A directory of many entries is compared in one pass") {
  ThreeTrees trees;
  constexpr int kFiles = 20'000;
  for (int file = 0; file < kFiles; ++file) {
    std::ofstream(trees.path("base", fmt::format("f{}", file))) << file;
  }
  trees.sh(
      "cp -al base/. theirs/ && mkdir theirs/sub && mv theirs/f1* theirs/sub/ && rm theirs/f2");
  const auto found = trees.changes();
  CHECK(found.size() == 11'111 + 2);
  CHECK(std::ranges::count(found, PathChange::Kind::renamed, &PathChange::kind) == 11'111);
}

}  // namespace agentfs::test
