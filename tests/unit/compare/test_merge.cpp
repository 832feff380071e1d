// SPDX-License-Identifier: MIT
// What a merge takes, keeps and refuses.
#include <array>
#include <utility>

#include "merging.h"

namespace agentfs::test {

TEST_CASE("A hard link that ours made holds where theirs gives the file an owner") {
  if (::geteuid() != 0) return;
  Merging trees;
  trees.how.attributes = true;
  fs::create_hard_link(trees.path("ours", "a"), trees.path("ours", "z"));
  trees.sh("chown 12:34 theirs/a");
  trees.check_merged();
  CHECK(trees.sh("stat -c '%h %u' ours/a ours/z") == "2 12\n2 12\n");
}

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
