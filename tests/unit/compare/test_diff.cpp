// SPDX-License-Identifier: MIT
#include "compare_fixture.h"

namespace agentfs::test {

namespace fs = std::filesystem;

TEST_CASE("A patch is git's, byte for byte") {
  ThreeTrees trees;
  std::string text;
  for (int line = 0; line < 30; ++line) text += fmt::format("line {}\n", line);
  trees.write("base", "text", text);
  trees.write("base", "moved", text + "moved\n");
  trees.write("base", "gone", "gone\n");
  trees.write("base", "ends", "without newline");
  trees.write("base", "dos", "one\r\ntwo\r\n");
  trees.write("base", "with space", "1\n");
  trees.write("base", "\xc3\xbc", "1\n");
  trees.write("base", "mode", "1\n");
  trees.fork();
  trees.write("theirs", "text", "first\n" + text.substr(0, 100) + "changed\n" + text.substr(100));
  trees.sh("cd theirs && mv moved to && echo more >> to && rm gone && chmod 755 mode");
  trees.write("theirs", "ends", "without newline\nand again");
  trees.write("theirs", "dos", "one\r\n2\r\n");
  trees.write("theirs", "with space", "2\n");
  trees.write("theirs", "\xc3\xbc", "2\n");
  trees.write("theirs", "empty", "");
  fs::create_symlink("target", trees.path("theirs", "link"));
  const auto without_score = [](std::string patch) {
    const auto at = patch.find("similarity index ");
    return at == std::string::npos ? patch : patch.erase(at, patch.find('\n', at) - at);
  };
  const std::string by_git = trees.sh(
      "git init -q repo && export GIT_DIR=$(pwd)/repo/.git && for tree in base theirs; do"
      " (cd $tree && git --work-tree . add -A . && git commit -qm $tree); done &&"
      " git diff --full-index -M HEAD~1 HEAD");
  CHECK(without_score(trees.diff()) == without_score(by_git));
  trees.check_patch();
}

TEST_CASE("Binary files are in the patch whole") {
  ThreeTrees trees;
  std::string bytes;
  for (unsigned byte = 0; byte < 300'000; ++byte) bytes += static_cast<char>(byte * byte / 7);
  trees.write("base", "changed", bytes);
  trees.write("base", "gone", bytes.substr(5000));
  trees.fork();
  bytes[150'000] = '!';
  trees.write("theirs", "changed", bytes);
  trees.write("theirs", "added", bytes.substr(100));
  trees.sh("rm theirs/gone");
  CHECK(trees.diff().find("GIT binary patch\n") != std::string::npos);
  trees.check_patch();
}

TEST_CASE("A file too large for a patch makes git refuse it, not leave the file out") {
  ThreeTrees trees;
  trees.write("base", "small", "1\n");
  trees.write("base", "large", std::string(5000, 'x'));
  trees.fork();
  trees.write("theirs", "small", "2\n");
  trees.write("theirs", "large", std::string(5001, 'x'));
  CompareOptions options;
  options.largest = 4096;
  const std::string patch = trees.diff(options);
  CHECK(patch.starts_with("# large: 5001 bytes, too large for a patch (limit 4096)\n"));
  CHECK(patch.find("diff --git a/large b/large\nBinary files a/large and b/large differ\n") !=
        std::string::npos);
  spit(trees.path("patch"), patch);
  CHECK(run_in(trees.path("base"), "git apply --binary ../patch").status != 0);
  CHECK(slurp(trees.path("base", "small")) == "1\n");
}

TEST_CASE("What a patch cannot carry is named ahead of it") {
  ThreeTrees trees;
  trees.write("base", "file", "1\n");
  trees.write("base", "secret", "1\n");
  trees.fork();
  trees.sh("cd theirs && mkdir empty && chmod 600 secret && echo 2 > file && chmod 700 .");
  const std::string patch = trees.diff();
  CHECK(
      patch.starts_with("# empty/: an empty directory was added\n"
                        "# secret: mode 644 became 600\n"
                        "diff --git a/file b/file\n"));
  CHECK(patch.find("diff --git a/secret") == std::string::npos);
}

TEST_CASE("A patch goes to its reader in pieces, until the reader fails") {
  ThreeTrees trees;
  for (int file = 0; file < 20; ++file) {
    trees.write("theirs", fmt::format("f{:02}", file), std::string(100'000, 'x') + "\n");
  }
  const auto found = trees.changes();
  const TreeComparer::Patch patch{.before = trees.side("base"),
                                  .after = trees.side("theirs"),
                                  .changes = &found,
                                  .options = {}};
  int pieces = 0;
  const auto written = trees.comparer->diff(patch, [&](std::string_view) -> Status {
    return ++pieces < 3 ? ok() : Status(fail(EPIPE, "reader: gone"));
  });
  REQUIRE(!written);
  CHECK(written.error().code == EPIPE);
  CHECK(pieces == 3);
}

}  // namespace agentfs::test
