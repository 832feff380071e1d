// SPDX-License-Identifier: MIT
// What a merge makes of directories that one side has renamed.
#include <utility>

#include "merging.h"

namespace agentfs::test {
namespace {

constexpr const char* kUntouched = "./d/e";

// The files that ours has then but for a, b, c and one more, and the directories in which there is
// nothing.
std::string all_of_ours(const Merging& trees, const char* but = "") {
  return trees.sh(
      fmt::format("cd ours && find . -mindepth 1 \\( -not -type d -o -empty \\) -not -path "
                  "'./[abc]' -not -path "
                  "'{}' | cut -c3- | LC_ALL=C sort | tr '\\n' ' '",
                  but));
}

// Each side does its own, one way round and the other; what is there then.
struct Sides {
  const char* one;
  const char* other;
  const char* are_there;
};

void check_both_ways(const Sides& sides, const std::string& setup, const std::string& are_there,
                     const char* but = "") {
  for (const auto& [ours, theirs] :
       {std::pair(sides.one, sides.other), std::pair(sides.other, sides.one)}) {
    INFO(ours << " and " << theirs);
    Merging trees;
    trees.how.attributes = true;
    trees.sh(fmt::format("for side in base ours theirs; do (cd $side && {}); done", setup));
    trees.sh(fmt::format("cd ours && {} && cd ../theirs && {}", ours, theirs));
    trees.check_merged();
    CHECK(all_of_ours(trees, but) == are_there);
  }
}

}  // namespace

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
      {"mv d r", "mv d/e d/f && echo new > d/n", "r/f r/n"},
      {"mv d r", "mkdir d/s && mv d/e d/s/f && echo new > d/n", "r/n r/s/f"},
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
      CHECK(all_of_ours(trees) == fmt::format("{} ", are_there));
      CHECK(trees.sh("cat $(find ours -name '[ef]')") == lines("d/e"));
    }
  }
}

TEST_CASE("A directory or a file in it that both sides renamed differently is a conflict") {
  const std::pair<const char*, const char*> cases[] = {
      {"mv d r", "mv d s"}, {"mv d r && mv r/e r/f", "mv d/e d/g"}, {"mv d/e d/f", "mv d/e d/g"}};
  for (const auto& [ours, theirs] : cases) {
    INFO(ours << " and " << theirs);
    Merging trees;
    trees.sh(fmt::format("cd ours && {} && cd ../theirs && {}", ours, theirs));
    CHECK(trees.conflicts().starts_with("renamed "));
    trees.check_refused();
  }
}

TEST_CASE("A directory that one side renamed in one that the other has is where both say") {
  const Sides cases[] = {
      {"mv p z", "mv p/q p/s", "z/g z/s/f"},
      {"mv p z", "mv p/q s", "s/f z/g"},
      {"mv p z", "mv p/q d/s", "d/e d/s/f z/g"},
      {"mv p d/z", "mv p/q p/s", "d/e d/z/g d/z/s/f"},
      {"mv p z && echo 1 > z/q/n", "mv p/q p/s", "z/g z/s/f z/s/n"},
      {"mv p z", "mv p/q p/s && echo 1 > p/s/n", "z/g z/s/f z/s/n"},
      {"mv p z && mkdir z/q/t && echo 1 > z/q/t/n", "mv p/q p/s", "z/g z/s/f z/s/t/n"},
      {"mv p z && mv z/q/f z/q/h", "mv p/q p/s", "z/g z/s/h"},
  };
  for (const Sides& sides : cases) {
    const std::string above = std::string_view(sides.are_there).starts_with("d/") ? "" : "d/e ";
    check_both_ways(sides, "mkdir -p p/q && seq 20 > p/q/f && seq 100 120 > p/g",
                    fmt::format("{}{} ", above, sides.are_there));
  }
}

TEST_CASE("An empty file goes with the directory that one side renamed, as the other has it") {
  struct Case {
    const char* does;
    const char* are_there;  // then, each with its bytes
  };
  const Case cases[] = {
      {"echo 1 > d/n", "r/e r/g r/n:1"},
      {"chmod 750 d/n && echo 1 > d/m", "r/e r/g r/m:1 r/n:"},
  };
  for (const auto& [does, are_there] : cases) {
    for (const bool is_ours : {true, false}) {
      INFO(does << " in " << (is_ours ? "ours" : "theirs"));
      Merging trees;
      trees.sh("for side in base ours theirs; do : > $side/d/n; seq 9 > $side/d/g; done");
      const char* const one = is_ours ? "ours" : "theirs";
      trees.sh(
          fmt::format("cd {} && {} && cd ../{} && mv d r", one, does, is_ours ? "theirs" : "ours"));
      trees.check_merged();
      CHECK(trees.sh("cd ours && for f in $(find . -not -type d -not -path './[abc]' | cut -c3- |"
                     "LC_ALL=C sort); do case $f in */[eg]) echo $f;; *) echo $f:$(cat $f "
                     "2>/dev/null);; esac; done | tr '\n' ' '") == fmt::format("{} ", are_there));
      if (std::string_view(does).starts_with("chmod")) {
        CHECK(trees.sh("stat -c %a ours/r/n") == "750\n");
      }
    }
  }
}

TEST_CASE(
    "An empty file that one side removed is in conflict where the other renamed its directory") {
  for (const auto& [ours, theirs] :
       {std::pair("rm d/n", "mv d r"), std::pair("mv d r", "rm d/n")}) {
    INFO(ours << " and " << theirs);
    Merging trees;
    trees.sh("for side in base ours theirs; do : > $side/d/n; seq 9 > $side/d/g; done");
    trees.sh(fmt::format("cd ours && {} && cd ../theirs && {}", ours, theirs));
    CHECK(trees.conflicts() == "deleted r/n\n");
    trees.check_refused();
  }
}

TEST_CASE("A new directory with a file that theirs changes is made anew where it goes, as it was") {
  Merging trees;
  trees.how.attributes = true;
  trees.sh(
      "cd ours && mkdir d/s && chmod 700 d/s && setfattr -n user.k -v v d/s && mv d/e d/s/f &&"
      "echo n > d/s/n && cd ../theirs && mv d r");
  trees.write("theirs", "r/e", lines("d/e", 3));
  trees.check_merged();
  CHECK(trees.ours("r/s/f") == lines("d/e", 3));
  CHECK(trees.sh(
            "cd ours && ls && ls r/s && stat -c %a r/s && getfattr -n user.k --only-values r/s") ==
        "a\nb\nc\nr\nf\nn\n700\nv");
}

TEST_CASE("A file whose directory one side renamed, and the other the file, has both its changes") {
  for (const bool is_ours : {true, false}) {
    Merging trees;
    const std::string one = is_ours ? "ours" : "theirs";
    const std::string other = is_ours ? "theirs" : "ours";
    trees.sh(fmt::format("mv {}/d {}/r && mv {}/d/e {}/d/f", one, one, other, other));
    trees.write(one, "r/e", lines("d/e", 1));
    trees.write(other, "d/f", lines("d/e", 9));
    trees.check_merged();
    CHECK(trees.ours("r/f").find("changed") != trees.ours("r/f").rfind("changed"));
    CHECK(trees.sh("ls ours") == "a\nb\nc\nr\n");
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

TEST_CASE("What cannot go along since theirs has made a file of its directory stays") {
  const std::pair<const char*, const char*> cases[] = {{"echo new > p/d/n", ""},
                                                       {"mv p/d/f2 p/d/n", "deleted p/d/n\n"}};
  for (const auto& [ours, conflicts] : cases) {
    INFO(ours);
    Merging trees;
    for (const char* const name : {"d/f1", "d/f2", "h1", "h2", "h3"}) {
      trees.write("base", fmt::format("p/{}", name), lines(name));
    }
    trees.fork();
    trees.sh(fmt::format("cd ours && {}", ours));
    trees.sh("cd theirs && rm -r p/d && echo a file > p/d && mv p q");
    CHECK(trees.conflicts() == conflicts);
    must(trees.merge(true));
    CHECK(trees.ours("q/d") == "a file\n");
    CHECK(trees.sh("cd ours && echo $(find p q -type f | LC_ALL=C sort)") ==
          "p/d/n q/d q/h1 q/h2 q/h3\n");
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

TEST_CASE("A directory in a renamed one that is renamed, too, takes what lies deep in it along") {
  for (const bool is_ours : {true, false}) {
    Merging trees;
    trees.sh(
        "for side in base ours theirs; do mkdir -p $side/p/s/t && seq 20 > $side/p/s/t/g; done");
    trees.sh(fmt::format("mv {}/p/s {}/p/S && mv {}/p {}/P", is_ours ? "theirs" : "ours",
                         is_ours ? "theirs" : "ours", is_ours ? "ours" : "theirs",
                         is_ours ? "ours" : "theirs"));
    trees.check_merged();
    CHECK(all_of_ours(trees, kUntouched) == "P/S/t/g ");
  }
}

TEST_CASE("What is new in a directory goes where both sides' renames lead") {
  const Sides cases[] = {
      {"mv p q/P", "mv q Q && echo n > p/n", "Q/P/n Q/P/x Q/y "},
      {"mv p q/P && echo n > q/P/n", "mv q Q", "Q/P/n Q/P/x Q/y "},
      {"mv p q/P", "mv q Q && mkdir p/s && echo n > p/s/n", "Q/P/s/n Q/P/x Q/y "},
      {"mv p q/P", "mv q Q && mkdir p/s", "Q/P/s Q/P/x Q/y "},
      {"mv p q/P", "mv q Q && mv p/x p/z", "Q/P/z Q/y "},
      {"mv p q/P && echo n > q/P/n && echo m > q/m", "mv q Q && echo o > p/o",
       "Q/P/n Q/P/o Q/P/x Q/m Q/y "},
  };
  for (const Sides& sides : cases) {
    check_both_ways(sides, "mkdir p q && seq 20 > p/x && seq 100 120 > q/y", sides.are_there,
                    kUntouched);
  }
}

TEST_CASE("Two directories of which each side has moved one into the other are in conflict") {
  for (const auto& [ours, theirs] :
       {std::pair("mv p q/P", "mv q p/Q"), std::pair("mv q p/Q", "mv p q/P")}) {
    INFO(ours << " and " << theirs);
    Merging trees;
    trees.sh(
        "for side in base ours theirs; do mkdir $side/p $side/q && seq 20 > $side/p/x &&"
        "seq 100 120 > $side/q/y; done");
    trees.sh(fmt::format("cd ours && {} && cd ../theirs && {}", ours, theirs));
    CHECK(trees.conflicts() ==
          (std::string_view(ours) == "mv p q/P" ? "renamed q/y\n" : "renamed p/x\n"));
    trees.check_refused();
    const std::string before = all_of_ours(trees, kUntouched);
    REQUIRE(trees.merge(true));
    CHECK(all_of_ours(trees, kUntouched) == before);
  }
}

TEST_CASE("An empty directory that one side removed or renamed is not back by its old name") {
  const std::pair<const char*, const char*> cases[] = {{"rmdir p/sub", "P/a "},
                                                       {"mv p/sub p/sub2", "P/a P/sub2 "},
                                                       {"echo n > p/sub/n", "P/a P/sub/n "},
                                                       {":", "P/a P/sub "}};
  for (const auto& [does, are_there] : cases) {
    for (const bool is_ours : {true, false}) {
      INFO(does << " in " << (is_ours ? "ours" : "theirs"));
      Merging trees;
      trees.sh("for side in base ours theirs; do mkdir -p $side/p/sub && seq 20 > $side/p/a; done");
      trees.sh(fmt::format("cd {} && {} && cd ../{} && mv p P", is_ours ? "ours" : "theirs", does,
                           is_ours ? "theirs" : "ours"));
      trees.check_merged();
      CHECK(all_of_ours(trees, kUntouched) == are_there);
    }
  }
}

TEST_CASE("An empty directory that theirs made or changed is there, whatever ours removed") {
  const std::pair<const char*, const char*> cases[] = {
      {"mv p P && mkdir P/new", "P/a P/new "},
      {"mv p P && mv P/sub P/other", "P/a P/other "},
      {"mv p P && chmod 700 P/sub", "P/a P/sub "},
  };
  for (const auto& [does, are_there] : cases) {
    INFO(does);
    Merging trees;
    trees.sh("for side in base ours theirs; do mkdir -p $side/p/sub && seq 20 > $side/p/a; done");
    trees.sh(fmt::format("rmdir ours/p/sub && cd theirs && {}", does));
    trees.check_merged();
    CHECK(all_of_ours(trees, kUntouched) == are_there);
  }
}

TEST_CASE("Empty files are not counted where a directory's files have left it") {
  for (const bool is_ours : {true, false}) {
    Merging trees;
    const std::string one = is_ours ? "ours" : "theirs";
    const std::string other = is_ours ? "theirs" : "ours";
    trees.sh(
        "for side in base ours theirs; do mkdir $side/p && : > $side/p/__init__.py &&"
        ": > $side/p/empty && seq 20 > $side/p/m.py; done");
    trees.sh(fmt::format("cd {} && cp -a p r && rm -r p && echo n > ../{}/p/n.py", one, other));
    trees.check_merged();
    CHECK(all_of_ours(trees, kUntouched) == "r/__init__.py r/empty r/m.py r/n.py ");
  }
}

}  // namespace agentfs::test
