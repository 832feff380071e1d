// SPDX-License-Identifier: MIT
// A merge carried out, refused halfway, cut off anywhere.
#include "compare_fixture.h"
#include "faulty_store.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

constexpr Described kExactly{.for_git = false, .inodes = true};

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
  std::string stage() {
    return must(merger->stage(three, must(merger->plan(three, {})), {.durable = false}));
  }
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

}  // namespace

TEST_CASE("A merge is staged beside, applied, and tells what it replaced before it goes") {
  Staged trees;
  trees.check_untouched();
  must(trees.merger->apply(trees.three.ours, trees.record));
  std::map<std::string, std::string> kept;
  const auto keep = [&](const std::string& path, const TreeEntry& old) -> Status {
    const auto opened = TRY(trees.three.ours.store->open(*old.node, O_RDONLY, {}));
    kept[path] = TRY(file::read(opened->descriptor())).substr(0, 4);
    return ok();
  };
  must(trees.merger->finish(trees.three.ours, trees.record, keep));
  trees.check_merged();
  CHECK(kept == std::map<std::string, std::string>{{"both", "ours"},
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
  CHECK(held.error().code == EBUSY);
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
  CHECK(undone.error().message.starts_with("swap: changed since the merge"));
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

}  // namespace agentfs::test
