// SPDX-License-Identifier: MIT
// What others do to a tree while a merge is carried out in it.
#include <algorithm>
#include <set>

#include "base/temporary_name.h"
#include "base/text.h"
#include "compare_fixture.h"

namespace agentfs::test {
namespace {

// A merge that removes directories and files, moves and changes some, applied by `apply`.
class Late : public ThreeTrees {
 public:
  explicit Late(const std::string& theirs) {
    sh("mkdir -p base/a/b/c base/a/e base/f && cd base && for n in drop move mode swap; do"
       " echo $n > $n; done");
    fork();
    sh("cd theirs && " + theirs);
    three = sides();
    record = must(merger->stage(three, must(merger->plan(three, {})), {.durable = false}));
  }
  void apply(const TreeMerger::Exchange& exchange = {}) {
    inode = trimmed("stat -c %i ours/a/b");
    must(merger->apply(three.ours, record, exchange));
  }
  std::string trimmed(const std::string& command) const {
    return std::string(text::trim(sh(command)));
  }
  // What is made in a/b by who had it open.
  std::string late() const {
    return path(trimmed(fmt::format("find ours/{} -inum {}", kMergeDirectory, inode)) + "/late");
  }

  MergeSides three;
  std::string record;
  std::string inode;  // of a/b
};

}  // namespace

TEST_CASE("A directory in which something is made after it was taken gets its name back") {
  for (const bool is_seen : {true, false}) {
    Late trees("rm -r a f drop move mode swap && echo file > new");
    trees.apply();
    const std::string late = trees.late();
    if (is_seen) spit(late, "late");
    // Or at the last moment, behind the look whether it is empty.
    std::set<std::string> kept;
    const auto keep = [&](const std::string& path, const TreeEntry&) -> Status {
      kept.insert(path);
      if (!is_seen && path == "a/b") spit(late, "late");
      return ok();
    };
    std::vector<std::string> returned;
    const auto tell = [&](const std::string& path, const std::string& name) -> Status {
      CHECK_FALSE(
          std::filesystem::exists(trees.path("ours", std::string(kMergeDirectory) + "/" + name)));
      returned.push_back(path);
      return ok();
    };
    for (int time = 0; time < 2; ++time) {
      must(trees.merger->finish(trees.three.ours, trees.record, keep, tell));
    }
    CHECK(trees.sh("cd ours && find . | sort") == ".\n./a\n./a/b\n./a/b/late\n./new\n");
    CHECK(trees.trimmed("stat -c %i ours/a/b") == trees.inode);
    CHECK(returned == std::vector<std::string>{"a", "a/b"});
    CHECK(kept.contains("a/b") != is_seen);
    CHECK(kept.contains("f"));
  }
}

TEST_CASE("What is made in a directory whose place something else has by then stays aside") {
  Late trees("rm -r a && echo file > a");
  trees.apply();
  const std::string late = trees.late();
  spit(late, "late");
  const auto finished = trees.merger->finish(trees.three.ours, trees.record, {});
  REQUIRE(!finished);
  CHECK(finished.error().code == ENOTEMPTY);
  CHECK(slurp(late) == "late");
  CHECK(slurp(trees.path("ours", "a")) == "file\n");
}

TEST_CASE("A file goes, or gets its mode, while nobody else sets its attributes") {
  Late trees("rm drop && mv move moved && chmod 755 mode && echo theirs > swap");
  std::set<std::string> alone;
  trees.apply([&](const TreeNode& file, nlink_t, const std::function<Status()>& step) {
    alone.insert(trees.trimmed(fmt::format("cd ours && find . -inum {}", file.inode())));
    return step();
  });
  for (const char* const name : {"./drop", "./move", "./mode", "./swap"}) {
    INFO(name);
    CHECK(alone.contains(name));
  }
}

}  // namespace agentfs::test
