// SPDX-License-Identifier: MIT
// A merge carried out, refused halfway, cut off anywhere.
#include "compare_fixture.h"
#include "faulty_store.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

std::string staged(const ThreeTrees& trees, const MergeSides& three) {
  return must(trees.merger->stage(three, must(trees.merger->plan(three, {})), {.durable = false}));
}

// A merge with a step of each kind, staged.
class Staged : public ThreeTrees {
 public:
  Staged() {
    for (const char* const name : {"swap", "drop", "move", "mode", "d/e", "both", "r\xff"}) {
      write("base", name, fmt::format("{}\n{}", name, std::string(300, *name)));
    }
    fork();
    write("theirs", "swap", "theirs");
    write("ours", "both", fmt::format("ours\n{}", slurp(path("base", "both"))));
    write("theirs", "both", slurp(path("base", "both")) + "\ntheirs");
    sh("cd theirs && rm drop && mv move moved && chmod 755 mode moved && rm -r d && mkdir -p n/m &&"
       "echo x > n/m/x && echo d > d && mv r* renamed && echo more >> renamed && chmod 555 n/m");
    before = describe(path("ours"), kExactly);
    three = sides();
    record = stage();
  }
  std::string stage() { return staged(*this, three); }
  // As before the merge; what it staged apart.
  void check_untouched() {
    CHECK(without(describe(path("ours"), kExactly), kMergeDirectory) == before);
  }
  void check_merged() {
    CHECK(slurp(path("ours", "both")) ==
          fmt::format("ours\n{}\ntheirs", slurp(path("base", "both"))));
    CHECK(without(describe(path("ours")), "both") == without(describe(path("theirs")), "both"));
    CHECK_FALSE(fs::exists(path("ours", kMergeDirectory)));
  }

  MergeSides three;
  std::string record;
  std::vector<std::string> before;
};

// f, a and d/b are one file in base; theirs does this to it.
class Linked : public ThreeTrees {
 public:
  explicit Linked(const std::string& change) {
    write("base", "f", "one\n");
    sh("mkdir base/d && ln base/f base/a && ln base/f base/d/b");
    fork();
    sh(fmt::format("cd theirs && {}", change));
  }
  std::string names() const {  // equal numbers: one file
    return sh(
        "cd ours && for n in $(find . -type f | sort); do echo $n $(stat -c '%i %a' $n) $(cat $n); "
        "done | awk '{ if (!($2 in seen)) seen[$2] = ++count; $2 = seen[$2]; print }'");
  }
};

}  // namespace

TEST_CASE("What one file under several names has become, it is under all of them") {
  const std::pair<const char*, const char*> kCases[] = {
      {"chmod 600 a", "./a 1 600 one\n./d/b 1 600 one\n./f 1 600 one\n"},
      {"chmod 600 a && mv f g", "./a 1 600 one\n./d/b 1 600 one\n./g 1 600 one\n"},
      {"echo two >> a", "./a 1 644 one two\n./d/b 1 644 one two\n./f 1 644 one two\n"},
      {"echo two >> a && chmod 600 f",
       "./a 1 600 one two\n./d/b 1 600 one two\n./f 1 600 one two\n"},
      {"echo two >> a && mv f g", "./a 1 644 one two\n./d/b 1 644 one two\n./g 1 644 one two\n"},
      {"echo x > x && ln x d/y",
       "./a 1 644 one\n./d/b 1 644 one\n./d/y 2 644 x\n./f 1 644 one\n./x 2 644 x\n"},
      {"cp a x && mv x a && chmod 600 a && chmod 640 f",
       "./a 1 600 one\n./d/b 2 640 one\n./f 2 640 one\n"},
      {"cp a x && mv x a && echo two >> a", "./a 1 644 one two\n./d/b 2 644 one\n./f 2 644 one\n"},
      {"chmod 600 a && rm f", "./a 1 600 one\n./d/b 1 600 one\n"},
      {"chown 12:34 a", "./a 1 644 one\n./d/b 1 644 one\n./f 1 644 one\n"},
  };
  for (const auto& [change, expected] : kCases) {
    INFO(change);
    Linked trees(change);
    must(trees.merge());
    CHECK(trees.names() == expected);
  }
}

TEST_CASE("Both sides' lines come together under all names of a file") {
  Linked trees("printf 'zero\\none\\n' > a");
  trees.sh(
      "printf 'one\\n2\\n3\\n4\\n5\\n6\\n' | tee base/a > ours/a && (echo zero; cat ours/a) > "
      "theirs/a && echo 7 >> ours/f");
  must(trees.merge());
  const char* const text = "zero one 2 3 4 5 6 7\n";
  CHECK(trees.names() == fmt::format("./a 1 644 {0}./d/b 1 644 {0}./f 1 644 {0}", text));
}

TEST_CASE("A merge of one file under several names that fails at any of its steps is undone") {
  for (const char* const change :
       {"chmod 600 a", "chmod 600 a && mv f g", "echo two >> a", "echo two >> a && mv f g",
        "cp a x && mv x a && chmod 600 a && chmod 640 f"}) {
    for (int failing = 0;; ++failing) {
      Linked trees(change);
      const auto before = describe(trees.path("ours"), kExactly);
      const MergeSides sides = trees.sides();
      const auto record =
          must(trees.merger->stage(sides, must(trees.merger->plan(sides, {})), {.durable = false}));
      FaultyStore store(*sides.ours.store);
      store.fail_at(failing, FaultyStore::Fault::once);
      const auto applied = trees.merger->apply({&store, sides.ours.root}, record);
      INFO(change << " " << failing);
      if (applied) {
        must(trees.merger->undo(sides.ours, record));
        must(trees.merger->undo(sides.ours, record));
      }
      CHECK(without(describe(trees.path("ours"), kExactly), kMergeDirectory) == before);
      must(trees.merger->finish(sides.ours, record, {}));
      CHECK(describe(trees.path("ours"), kExactly) == before);
      if (applied) break;
    }
  }
}

TEST_CASE("A merge is staged beside, applied, and tells what it replaced before it goes") {
  Staged trees;
  trees.check_untouched();
  must(trees.merger->apply(trees.three.ours, trees.record));
  std::map<std::string, std::string> kept;
  const auto keep = [&](const std::string& path, const TreeEntry& old) -> Status {
    if (old.node->type() == S_IFDIR) {
      kept[path] = "directory";
      return ok();
    }
    const auto opened = TRY(trees.three.ours.store->open(*old.node, O_RDONLY, {}));
    kept[path] = TRY(file::read(opened->descriptor())).substr(0, 4);
    return ok();
  };
  must(trees.merger->finish(trees.three.ours, trees.record, keep));
  trees.check_merged();
  CHECK(kept == std::map<std::string, std::string>{{"both", "ours"},
                                                   {"d", "directory"},
                                                   {"d/e", "d/e\n"},
                                                   {"drop", "drop"},
                                                   {"r\xff", "r\xff\nr"},
                                                   {"swap", "swap"}});
  must(trees.merger->finish(trees.three.ours, trees.record, keep));
  CHECK(trees.sh("stat -c '%a' ours/n/m ours/moved ours/mode") == "555\n755\n755\n");
}

TEST_CASE("An applied merge can be undone, to the same inodes") {
  Staged trees;
  for (int time = 0; time < 2; ++time) {
    must(trees.merger->apply(trees.three.ours, trees.record));
    must(trees.merger->undo(trees.three.ours, trees.record));
    must(trees.merger->undo(trees.three.ours, trees.record));
    trees.check_untouched();
    // Renaming has moved the times of change.
    must(trees.merger->finish(trees.three.ours, trees.record, {}));
    CHECK(describe(trees.path("ours"), kExactly) == trees.before);
    trees.record = trees.stage();
  }
}

TEST_CASE("One merge at a time is staged in a tree, and one never stored can be thrown away") {
  Staged trees;
  const MergePlan plan = must(trees.merger->plan(trees.three, {}));
  const auto second = trees.merger->stage(trees.three, plan, {});
  REQUIRE(!second);
  CHECK(second.error().code == EBUSY);
  must(trees.merger->discard(trees.three.ours));
  must(trees.merger->discard(trees.three.ours));
  CHECK(describe(trees.path("ours"), kExactly) == trees.before);
  trees.record = trees.stage();
  spit(trees.path("ours", fmt::format("{}/mine", kMergeDirectory)), "mine");
  const auto held = trees.merger->discard(trees.three.ours);
  REQUIRE(!held);
  CHECK(held.error().code == ENOTEMPTY);
  CHECK(slurp(trees.path("ours", fmt::format("{}/mine", kMergeDirectory))) == "mine");
}

TEST_CASE("What changed since the plan stays, and nothing else is changed") {
  for (const char* const change :
       {"echo more >> swap", "touch drop", "rm both", "chmod 600 mode", "echo > moved",
        "echo > d/new", "mkdir n", "mv swap elsewhere && cp elsewhere swap", "rm -r d && ln -s x d",
        "echo > renamed", "ln move hard"}) {
    INFO(change);
    Staged trees;
    trees.sh(fmt::format("cd ours && {}", change));
    trees.before = without(describe(trees.path("ours"), kExactly), kMergeDirectory);
    const auto applied = trees.merger->apply(trees.three.ours, trees.record);
    REQUIRE(!applied);
    CHECK(applied.error().code == ESTALE);
    trees.check_untouched();
  }
}

TEST_CASE("What changed between plan and stage is found") {
  for (const char* const change :
       {"echo >> ours/swap", "echo >> theirs/swap", "rm theirs/renamed"}) {
    Staged trees;
    must(trees.merger->discard(trees.three.ours));
    const MergePlan plan = must(trees.merger->plan(trees.three, {}));
    trees.sh(change);
    const auto staged = trees.merger->stage(trees.three, plan, {});
    REQUIRE(!staged);
    CHECK(staged.error().code == ESTALE);
    CHECK_FALSE(fs::exists(trees.path("ours", kMergeDirectory)));
  }
}

TEST_CASE("A merge that fails at any of its steps is undone") {
  for (int failing = 0;; ++failing) {
    Staged trees;
    FaultyStore store(*trees.three.ours.store);
    store.fail_at(failing, FaultyStore::Fault::once);
    const auto applied = trees.merger->apply({&store, trees.three.ours.root}, trees.record);
    if (applied) {
      CHECK(failing > 10);
      break;
    }
    INFO(failing << ": " << applied.error().message);
    CHECK(applied.error().code == ENOSPC);
    trees.check_untouched();
  }
}

TEST_CASE("A merge that is cut off at any of its steps is undone or finished later") {
  for (int failing = 0;; ++failing) {
    Staged trees;
    FaultyStore store(*trees.three.ours.store);
    store.fail_at(failing, FaultyStore::Fault::for_good);
    const auto applied = trees.merger->apply({&store, trees.three.ours.root}, trees.record);
    const auto next = must(open_tree_store(trees.path("ours")));
    const TreeSide ours{next.get(), next->root()};
    if (!applied) {
      // Again cut off, while it is undone.
      store.fail_at(failing / 2, FaultyStore::Fault::for_good);
      const auto undone = trees.merger->undo({&store, trees.three.ours.root}, trees.record);
      CHECK(undone.has_value() == !store.failed());
      must(trees.merger->undo(ours, trees.record));
      trees.check_untouched();
    }
    store.fail_at(failing, FaultyStore::Fault::for_good);
    const auto finished = trees.merger->finish({&store, trees.three.ours.root}, trees.record, {});
    CHECK(finished.has_value() == !store.failed());
    must(trees.merger->finish(ours, trees.record, {}));
    if (applied) {
      trees.check_merged();
      break;
    }
    CHECK(describe(trees.path("ours"), kExactly) == trees.before);
  }
}

TEST_CASE("Undoing leaves what was written since") {
  Staged trees;
  must(trees.merger->apply(trees.three.ours, trees.record));
  trees.write("ours", "swap", "written since");
  const auto undone = trees.merger->undo(trees.three.ours, trees.record);
  REQUIRE(!undone);
  CHECK(undone.error().code == EBUSY);
  CHECK(undone.error().message.starts_with("swap: was changed since"));
  CHECK(slurp(trees.path("ours", "swap")) == "written since");
  trees.before = without(trees.before, "swap");
  CHECK(without(without(describe(trees.path("ours"), kExactly), kMergeDirectory), "swap") ==
        trees.before);
}

TEST_CASE("A disk that fills while a merge is staged leaves nothing behind") {
  for (int failing = 0;; ++failing) {
    Staged trees;
    must(trees.merger->discard(trees.three.ours));
    FaultyStore store(*trees.three.ours.store);
    MergeSides sides = trees.three;
    sides.ours.store = &store;
    const MergePlan plan = must(trees.merger->plan(trees.three, {}));
    store.fail_at(failing, FaultyStore::Fault::once);
    const auto staged = trees.merger->stage(sides, plan, {});
    if (staged) {
      CHECK(failing > 10);
      break;
    }
    INFO(failing << ": " << staged.error().message);
    CHECK(staged.error().code == ENOSPC);
    CHECK(describe(trees.path("ours"), kExactly) == trees.before);
  }
}

TEST_CASE("A replaced file keeps its owner and extended attributes") {
  Staged trees;
  must(trees.merger->discard(trees.three.ours));
  const TreeSide& ours = trees.three.ours;
  const auto swap = must(ours.store->lookup(*ours.root, "swap")).node;
  if (!ours.store->set_xattr(*swap, "user.mark", "ours", 0, {})) return;  // a disk without
  if (::geteuid() == 0) trees.sh("chown 12:34 ours/swap");
  trees.record = trees.stage();
  must(trees.merger->apply(ours, trees.record));
  must(trees.merger->finish(ours, trees.record, {}));
  const auto merged = must(ours.store->lookup(*ours.root, "swap")).node;
  CHECK(merged->inode() != swap->inode());
  CHECK(must(ours.store->get_xattr(*merged, "user.mark")) == "ours");
  if (::geteuid() == 0) CHECK(trees.sh("stat -c %u:%g ours/swap") == "12:34\n");
}

TEST_CASE("A record of another format or cut short is refused") {
  Staged trees;
  for (const std::string& bad :
       {std::string("{}"), std::string("no"), trees.record.substr(0, trees.record.size() / 2),
        std::string(R"({"format":1,"steps":[{"do":"t"}]})"),
        std::string(R"({"format":2,"steps":[]})")}) {
    const auto applied = trees.merger->apply(trees.three.ours, bad);
    REQUIRE(!applied);
    CHECK(applied.error().code == EBADMSG);
  }
  trees.check_untouched();
}

TEST_CASE("Rights and attributes that are set while the steps are made are not lost") {
  for (const char* const change : {"chmod 600", "chown 7", "setfattr -n user.note -v 1"}) {
    INFO(change);
    Staged trees;
    int exchanges = 0;
    const auto set_one = [&](const TreeNode&, nlink_t, const std::function<Status()>& step) {
      const std::string next = ++exchanges == 1 ? "both" : "swap";
      trees.sh(
          fmt::format("cd ours && if grep -q theirs {0}; then :; else {1} {0}; fi", next, change));
      return step();
    };
    const auto applied = trees.merger->apply(trees.three.ours, trees.record, set_one);
    REQUIRE(!applied);
    CHECK(applied.error().code == ESTALE);
    CHECK(slurp(trees.path("ours", "both")).starts_with("ours\n"));
    CHECK(slurp(trees.path("ours", "swap")) == slurp(trees.path("base", "swap")));
  }
}

// Of each exchange, how many of its names the file has lost.
TreeMerger::Exchange noting(std::vector<nlink_t>& told) {
  return [&told](const TreeNode&, nlink_t lost, const std::function<Status()>& step) {
    told.push_back(lost);
    return step();
  };
}

TEST_CASE("Who has a file with several names is told when the last of them is taken") {
  Linked trees("echo two > f");
  const MergeSides three = trees.sides();
  const std::string record = staged(trees, three);
  std::vector<nlink_t> told;
  const auto note = noting(told);
  must(trees.merger->apply(three.ours, record, note));
  CHECK(told == std::vector<nlink_t>{1, 2, 3});
  must(trees.merger->undo(three.ours, record, note));
  CHECK(told == std::vector<nlink_t>{1, 2, 3, 0, 0, 0});
}

TEST_CASE("A name that a merge removes is one that its file has lost") {
  Linked trees("rm a d/b && echo two > new && mv new f");
  const MergeSides three = trees.sides();
  const std::string record = staged(trees, three);
  std::vector<nlink_t> told;
  const auto note = noting(told);
  must(trees.merger->apply(three.ours, record, note));
  CHECK(told == std::vector<nlink_t>{1, 2, 3});  // two names of it go first
}

}  // namespace agentfs::test
