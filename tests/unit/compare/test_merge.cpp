// SPDX-License-Identifier: MIT
// What a merge takes, keeps and refuses.
#include <array>
#include <utility>

#include "compare_fixture.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

std::string lines(const std::string& name, int changed = -1, const std::string& to = "changed") {
  std::string text;
  for (int line = 0; line < 12; ++line) {
    text += line == changed ? fmt::format("{}\n", to) : fmt::format("{} line {}\n", name, line);
  }
  return text;
}

// base has the files a, b, c and d/e, ours and theirs are forks of it.
class Merging : public ThreeTrees {
 public:
  Merging() {
    for (const char* const name : {"a", "b", "c", "d/e"}) write("base", name, lines(name));
    fork();
  }
  // Ours is as it was, since the merge was refused.
  void check_refused() {
    const auto before = describe(path("ours"), {.for_git = false, .inodes = true});
    const Status merged = merge();
    REQUIRE(!merged);
    CHECK(merged.error().code == EBUSY);
    CHECK(describe(path("ours"), {.for_git = false, .inodes = true}) == before);
  }
  void check_merged() {
    INFO(conflicts());
    const Status merged = merge();
    INFO((merged ? "" : merged.error().message));
    REQUIRE(merged);
    CHECK_FALSE(fs::exists(path("ours", kMergeDirectory)));
  }
  std::string ours(const std::string& below) const { return slurp(path("ours", below)); }
};

}  // namespace

TEST_CASE("What only theirs changed is taken, what only ours changed stays") {
  Merging trees;
  trees.write("theirs", "a", lines("a", 3));
  trees.write("ours", "b", lines("b", 3));
  trees.sh(
      "cd theirs && rm c && mv d f && ln -s a link && chmod 755 f/e && mkdir -p empty/deep &&"
      "mkfifo pipe && cd ../ours && touch mine");
  trees.check_merged();
  CHECK(trees.ours("a") == lines("a", 3));
  CHECK(trees.ours("b") == lines("b", 3));
  CHECK(trees.sh("cd ours && find . -mindepth 1 | LC_ALL=C sort | tr '\\n' ' '") ==
        "./a ./b ./empty ./empty/deep ./f ./f/e ./link ./mine ./pipe ");
  CHECK(trees.sh("stat -c '%F %a' ours/pipe ours/f/e") == "fifo 644\nregular file 755\n");
}

TEST_CASE("The same change on both sides is none") {
  Merging trees;
  for (const char* const tree : {"ours", "theirs"}) {
    trees.write(tree, "a", lines("a", 3));
    trees.write(tree, "new", "new");
    trees.sh(fmt::format("cd {} && rm b && mv c moved && chmod 600 d/e && ln -s x y", tree));
  }
  CHECK(trees.plan().actions.empty());
  CHECK(trees.conflicts().empty());
}

TEST_CASE("What ours has already by an earlier merge is not merged again") {
  Merging trees;
  trees.write("theirs", "a", lines("a", 3));
  trees.sh("cp theirs/a ours/a && echo more >> ours/a");
  CHECK(trees.plan().actions.empty());
  CHECK(trees.conflicts().empty());
}

TEST_CASE("Changes of different lines are put together, with git's result") {
  Merging trees;
  trees.write("ours", "a", lines("a", 1));
  trees.write("theirs", "a", lines("a", 9));
  trees.sh(
      "chmod 755 theirs/a && chmod 700 ours/b && git merge-file -p ours/a base/a theirs/a > "
      "expected");
  trees.check_merged();
  CHECK(trees.ours("a") == slurp(trees.path("expected")));
  CHECK(trees.sh("stat -c %a ours/a ours/b") == "755\n700\n");
}

TEST_CASE("A rename on one side and a change on the other are both kept") {
  Merging trees;
  trees.write("ours", "a", lines("a", 1));
  trees.sh("cd theirs && mv a moved && chmod 755 moved && cd ../ours && mv b d/b");
  trees.write("theirs", "b", lines("b", 2));
  trees.write("ours", "c", lines("c", 1));
  trees.sh("mv theirs/c theirs/c2");
  trees.write("theirs", "c2", lines("c", 9));
  trees.check_merged();
  CHECK(trees.ours("moved") == lines("a", 1));
  CHECK(trees.ours("d/b") == lines("b", 2));
  CHECK(trees.ours("c2").find("changed\n") != trees.ours("c2").rfind("changed\n"));
  CHECK(trees.sh("ls ours; stat -c %a ours/moved") == "c2\nd\nmoved\n755\n");
}

TEST_CASE("What cannot be put together is a conflict, and ours is left alone") {
  struct Case {
    const char* ours;
    const char* theirs;
    const char* conflicts;
  };
  const Case cases[] = {
      {"echo 1 > a", "echo 2 > a", "content a\n"},
      {"echo 1 > a", "rm a", "deleted a\n"},
      {"rm a", "echo 2 > a", "deleted a\n"},
      {"mv a m", "rm a", "deleted m\n"},
      {"rm a", "mv a m", "deleted m\n"},
      {"mv a m", "mv a n", "renamed m\n"},
      {"echo 1 > m", "mv a m", "renamed a\n"},
      {"mv b m", "mv a m", "renamed a\n"},
      {"mv a m", "echo 2 > m", "both-added m\n"},
      {"echo 1 > n", "echo 2 > n", "both-added n\n"},
      {"ln -s 1 n", "ln -s 2 n", "both-added n\n"},
      {"ln -s 1 n", "echo 2 > n", "type n\n"},
      {"echo 1 > a", "rm a && ln -s 2 a", "type a\n"},
      {"rm a && ln -s 1 a", "rm a && ln -s 2 a", "type a\n"},
      {"chmod 755 a", "rm a && ln -s 2 a", "type a\n"},
      {"rm a && ln -s 1 a", "chmod 755 a", "type a\n"},
      {"mv a m", "rm a && ln -s 2 a", "type m\n"},
      {"rm a && ln -s 1 a", "mv a m", "type a\n"},
      {"chmod 600 a", "chmod 755 a", "mode a\n"},
      {"chmod 700 d", "chmod 750 d", "mode d\n"},
      {"printf '1\\0' > a", "printf '2\\0' > a", "binary a\n"},
      {"echo 1 > n", "mkdir n && echo 2 > n/x", "type n/x\n"},
      {"echo 1 > n", "mkdir n", "type n\n"},
      {"mkdir n && echo 1 > n/x", "echo 2 > n", "type n\n"},
      {"mkdir n", "echo 2 > n", "type n\n"},
      {"echo 1 > d/new", "rm -r d && echo 2 > d", "type d\n"},
      {"echo 1 > d/e", "rm -r d && echo 2 > d", "type d\ndeleted d/e\n"},
  };
  for (const Case& each : cases) {
    Merging trees;
    trees.sh(fmt::format("cd ours && {}", each.ours));
    trees.sh(fmt::format("cd theirs && {}", each.theirs));
    INFO(each.ours << " | " << each.theirs);
    CHECK(trees.conflicts() == each.conflicts);
    trees.check_refused();
  }
}

TEST_CASE("A conflict tells all three versions and a text with markers") {
  Merging trees;
  trees.write("ours", "a", lines("a", 3, "ours"));
  trees.write("theirs", "a", lines("a", 3, "theirs"));
  const MergePlan plan = trees.plan();
  REQUIRE(plan.conflicts.size() == 1);
  const MergeConflict& conflict = plan.conflicts[0];
  CHECK(conflict.base_path == "a");
  CHECK(conflict.ours_path == "a");
  CHECK(conflict.theirs_path == "a");
  CHECK(conflict.sentence == "both sides changed the same lines");
  REQUIRE(conflict.has_merged);
  const Ran by_git = run_in(trees.directory().path(),
                            "git merge-file -p -L ours -L base -L theirs ours/a base/a theirs/a");
  CHECK(must(trees.merger->merged(trees.sides(), conflict)) == by_git.output);
}

TEST_CASE("A partial merge takes what is clean") {
  Merging trees;
  trees.write("ours", "a", "1");
  trees.write("theirs", "a", "2");
  trees.write("ours", "d/e", "1");
  trees.write("theirs", "c", lines("c", 3));
  trees.sh("rm theirs/b && rm -r theirs/d && touch theirs/new");
  CHECK(trees.conflicts() == "content a\ndeleted d/e\n");
  trees.check_refused();
  must(trees.merge(true));
  CHECK(trees.ours("a") == "1");
  CHECK(trees.ours("c") == lines("c", 3));
  CHECK(trees.sh("cd ours && find . -type f | LC_ALL=C sort | tr '\\n' ' '") ==
        "./a ./c ./d/e ./new ");
}

TEST_CASE("What one side puts into a directory that the other has renamed goes along") {
  struct Case {
    const char* renames;
    const char* puts;
    const char* are_there;  // then
  };
  const Case cases[] = {
      {"mv d r", "echo new > d/n", "r/e r/n"},
      {"mkdir in && mv d in/r", "echo new > d/n", "in/r/e in/r/n"},
      {"mv d r", "mkdir d/s && chmod 700 d/s && echo new > d/s/n", "r/e r/s/n"},
      {"mv d r", "mkdir -p d/s/deep && echo new > d/s/deep/n", "r/e r/s/deep/n"},
      {"mv d r", "mkdir d/s", "r/e r/s"},
      {"mv d r", "mv c d/c", "r/c r/e"},
      {"mv d r && echo 1 > c", "mv c d/c", "r/c r/e"},
      {"mv d r", "ln -s t d/n && mkfifo d/p", "r/e r/n r/p"},
      {"mv d r && mv r/e r/f", "echo new > d/n", "r/f r/n"},
      {"mkdir r && mv d/* r && rmdir d", "echo new > d/n", "r/e r/n"},
      {"mv d r && mkdir r/s && echo 1 > r/s/x", "mkdir d/s && echo new > d/s/n", "r/e r/s/n r/s/x"},
      {"mv d r && echo 1 > d", "echo new > d/n", "d r/e r/n"},
  };
  for (const auto& [renames, puts, are_there] : cases) {
    for (const auto& [ours, theirs] : {std::pair(renames, puts), std::pair(puts, renames)}) {
      INFO(ours << " and " << theirs);
      Merging trees;
      trees.how.attributes = true;
      trees.sh(fmt::format("cd ours && {} && cd ../theirs && {}", ours, theirs));
      trees.check_merged();
      CHECK(
          trees.sh(
              "cd ours && find . -mindepth 1 \\( -not -type d -o -empty \\) -not -path './[abc]' |"
              "cut -c3- | LC_ALL=C sort | tr '\\n' ' '") == fmt::format("{} ", are_there));
      CHECK(trees.sh("cat $(find ours -name '[ef]')") == lines("d/e"));
    }
  }
}

TEST_CASE("What goes along with a renamed directory is told once, and keeps what it has") {
  Merging trees;
  trees.sh(
      "mv theirs/d theirs/r && cd ours && mkdir d/s && chmod 750 d/s && echo n > d/s/n && echo m > "
      "d/m");
  const std::string before = trees.sh("cd ours/d && stat -c '%i %a' s s/n m");
  CHECK(trees.plan().notes ==
        std::vector<std::string>{"d: renamed to r in theirs; what ours has put there goes along"});
  trees.check_merged();
  CHECK(trees.sh("cd ours/r && stat -c '%i %a' s s/n m") == before);
  Merging other;
  other.sh("mv ours/d ours/r && cd theirs && mkdir d/s && chmod 750 d/s && echo n > d/s/n");
  CHECK(other.plan().notes ==
        std::vector<std::string>{"d: renamed to r in ours; what theirs has put there goes along"});
  other.check_merged();
  CHECK(other.sh("cd ours/r && stat -c %a s") == "750\n");
}

TEST_CASE("What has no place in a renamed directory stays where it was put, or is in conflict") {
  struct Case {
    const char* ours;
    const char* theirs;
    const char* conflicts;
    const char* are_there;
  };
  const Case cases[] = {
      {"echo ours > d/n", "mv d r && echo theirs > r/n", "", "d/n r/e r/n"},
      {"mkdir d/s && echo ours > d/s/n", "mv d r && echo theirs > r/s", "", "d/s/n r/e r/s"},
      {"mkdir -m 700 d/s && echo 1 > d/s/n", "mv d r && mkdir -m 755 r/s && echo 2 > r/s/m", "",
       "d/s/n r/e r/s/m"},
      {"mkdir d/s && ln a d/s/a && mkdir r && echo 1 > r/n && echo 2 > d/n",
       "mv d r && echo 3 >> a", "", "d/n d/s/a r/e r/n"},
      {"mv d r && echo ours > r/n", "echo theirs > d/n", "both-added r/n\n", ""},
      {"mv d r && echo same > r/n", "echo same > d/n", "", "r/e r/n"},
      {"mv d r && mkdir r/n", "echo theirs > d/n", "type r/n\n", ""},
      {"mkdir r && mv d/e r && rm -r d", "echo theirs > d/n", "", "r/e r/n"},
  };
  for (const auto& [ours, theirs, conflicts, are_there] : cases) {
    INFO(ours << " and " << theirs);
    Merging trees;
    trees.sh(fmt::format("cd ours && {} && cd ../theirs && {}", ours, theirs));
    CHECK(trees.conflicts() == conflicts);
    if (*conflicts != '\0') {
      trees.check_refused();
      continue;
    }
    trees.check_merged();
    CHECK(trees.sh("cd ours && find . -mindepth 1 -type f -not -path './[abc]' | cut -c3- |"
                   "LC_ALL=C sort | tr '\\n' ' '") == fmt::format("{} ", are_there));
  }
}

TEST_CASE("A directory of which the most has gone elsewhere is removed, and not renamed") {
  Merging trees;
  trees.sh(
      "for t in base ours theirs; do touch $t/d/x && echo $t > $t/d/y && cp base/a $t/d/z; done && "
      "cp base/d/y ours/d/y && cp base/d/y theirs/d/y");
  trees.sh("cd theirs && mkdir lib && mv d/e lib && rm -r d && echo new > ../ours/d/n");
  trees.check_merged();
  CHECK(trees.sh("cd ours && find d lib -type f | LC_ALL=C sort | tr '\\n' ' '") == "d/n lib/e ");
}

TEST_CASE("What one side did to a directory is not lost where the other renamed or removed it") {
  const std::array<std::string, 4> ends = {"mv d renamed", "rm -r d", "rm -r d && echo f > d",
                                           "mv d/e e && rmdir d"};
  const std::array<std::string, 2> changes = {"chmod 700 d", "setfattr -n user.k -v v d"};
  for (const std::string& end : ends) {
    for (const std::string& change : changes) {
      INFO(end << " and " << change);
      for (const auto& [ours, theirs] : {std::pair(end, change), std::pair(change, end)}) {
        Merging trees;
        trees.how.attributes = true;
        trees.sh("cd ours && " + ours + " && cd ../theirs && " + theirs);
        CHECK(trees.conflicts().starts_with("deleted d\n"));
        trees.check_refused();
      }
    }
  }
}

TEST_CASE("What one side did to a file is not lost where it is another type in the other") {
  for (const std::string change : {"chmod 600 a", "setfattr -n user.k -v v a"}) {
    const std::string end = "ln -sf t a";
    for (const auto& [ours, theirs] : {std::pair(end, change), std::pair(change, end)}) {
      INFO(ours << " and " << theirs);
      Merging trees;
      trees.how.attributes = true;
      trees.sh("cd ours && " + ours + " && cd ../theirs && " + theirs);
      CHECK(trees.conflicts() == "type a\n");
      trees.check_refused();
    }
  }
}

TEST_CASE("Files and directories take each other's place where ours left them alone") {
  Merging trees;
  trees.sh(
      "cd theirs && rm a && mkdir a && echo x > a/x && rm -r d && echo d > d && mv b t && "
      "mkdir b && mv t b/b");
  trees.check_merged();
  CHECK(describe(trees.path("ours")) == describe(trees.path("theirs")));
}

TEST_CASE("A .git that both have stays ours', one that came or went is taken") {
  Merging trees;
  trees.sh(
      "git init -q base && git init -q base/gone && cp -a base/.git ours/ &&"
      "cp -a base/.git theirs/ && cp -a base/gone ours/ && git init -q theirs/new &&"
      "echo '#' >> theirs/.git/config");
  CHECK(trees.plan().notes ==
        std::vector<std::string>{".git: left as ours has it; a repository is not merged as files, "
                                 "pull from theirs"});
  trees.check_merged();
  CHECK(trees.sh("diff -r ours/new theirs/new; diff -r ours/.git base/.git; ls ours") ==
        "a\nb\nc\nd\nnew\n");
}

TEST_CASE("Names of any bytes are merged") {
  Merging trees;
  const std::string odd = "\xff\xfe\n\"odd\"";
  trees.write("theirs", odd + "/" + odd, "theirs");
  trees.sh("mv theirs/a \"$(printf 'theirs/\\377')\"");
  trees.check_merged();
  CHECK(trees.ours(odd + "/" + odd) == "theirs");
  CHECK(trees.ours("\xff") == lines("a"));
}

TEST_CASE("A conflict that was written down is read back as it was") {
  Merging trees;
  const std::string odd = "\xff\xfe\n\"odd\"";
  trees.write("ours", odd, "ours");
  trees.write("theirs", odd, "theirs");
  trees.sh("rm ours/a");
  trees.write("theirs", "a", lines("a", 3));
  const std::vector<MergeConflict> all = trees.plan().conflicts;
  REQUIRE(all.size() == 2);
  for (const MergeConflict& one : all) {
    const std::string text = to_text(one);
    CHECK(!text.contains('\n'));
    const auto back = conflict_of(text);
    REQUIRE(back);
    CHECK(to_text(*back) == text);
    CHECK(back->path == one.path);
    CHECK(back->reason == one.reason);
    CHECK(back->base == one.base);
    CHECK(back->theirs == one.theirs);
    CHECK(back->theirs_path == one.theirs_path);
  }
  for (const char* const text : {"", "{}", "[]", "{\"reason\":\"content\",\"path\":\"a\"}"}) {
    CHECK(!conflict_of(text));
  }
}

}  // namespace agentfs::test
