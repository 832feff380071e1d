// SPDX-License-Identifier: MIT
// What the next merge of two trees begins from.
#include "kernel/merges.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "catch.h"
#include "kernel/forks.h"
#include "kernel/tree_path.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

const std::string kTry = "/workspaces/try-1";

class Merging {
 public:
  Merging() {
    must(file::replace(kernel.state() + "/trees/workspaces/site/log", "1\n"));
    must(kernel.kernel().forks().fork(kernel.person(), kSite, "try-1", std::nullopt));
  }
  Result<std::string> merge(const std::string& into, const std::string& name) {
    return kernel.kernel().merges().merge(kernel.person(), into, name, false);
  }
  void append(const std::string& root, std::string_view text) {
    Forest& forest = *must(kernel.kernel().forks().forest_of(root));
    const auto file = must(forest.open(*entry(root, "log").node, O_WRONLY, {}));
    const Writing writing = must(forest.begin_write(*file));
    REQUIRE(::lseek(file->descriptor(), 0, SEEK_END) > 0);
    must(file::write_all(file->descriptor(), text));
  }
  std::string text(const std::string& root) {
    Forest& forest = *must(kernel.kernel().forks().forest_of(root));
    return must(
        file::read(must(forest.open(*entry(root, "log").node, O_RDONLY, {}))->descriptor()));
  }

  TreeNodeRef make_directory(const std::string& root, const std::string& name) {
    Forest& forest = *must(kernel.kernel().forks().forest_of(root));
    return must(forest.make_directory(*entry(root, "").node, name, 0755, {})).node;
  }
  void rename(const std::string& root, const std::string& name, const std::string& new_name) {
    Forest& forest = *must(kernel.kernel().forks().forest_of(root));
    const TreeNodeRef top = entry(root, "").node;
    must(forest.rename(*top, name, *top, new_name, 0, {}));
  }

  // The journal refuses so many rows from now on.
  void refuse_rows(std::size_t times) {
    kernel.log_faults->fail_call(LogCall::append, ENOSPC, 1, times);
  }
  // All of it is there, and none of its rows is.
  void merge_untold(const std::string& into, const std::string& name) {
    refuse_rows(1000);
    CHECK(merge(into, name).error().code == ENOSPC);
    refuse_rows(0);
    CHECK(kernel.kernel().merges().is_half_done(into));
  }
  std::size_t rows(std::string_view kind) const {
    std::size_t count = 0;
    for (const std::string& line : kernel.lines()) count += line.contains(kind);
    return count;
  }
  bool has_staging(const std::string& root) {
    Forest& forest = *must(kernel.kernel().forks().forest_of(root));
    return find_in_tree(forest, entry(root, "").node, ".agentfs-merge").has_value();
  }

  TestKernel kernel;

 private:
  TreeEntry entry(const std::string& root, std::string_view path) {
    Forest& forest = *must(kernel.kernel().forks().forest_of(root));
    const auto tree = must(forest.tree(std::string(text::last_part(root))));
    return must(find_in_tree(forest, tree.node, path));
  }
};

}  // namespace

TEST_CASE("what is written as a merge begins is taken by this one or by the next, and once") {
  Merging m;
  m.append(kSite, "2\n");
  int writes = 0;
  m.kernel.merging.before_plan = [&] {
    if (++writes == 1) m.append(kSite, "3\n");
  };
  must(m.merge(kTry, "site"));
  CHECK(m.text(kTry) == "1\n2\n");
  m.append(kSite, "4\n");
  must(m.merge(kTry, "site"));
  CHECK(m.text(kTry) == "1\n2\n3\n4\n");
}

TEST_CASE("a merge from a tree that never rests takes what it was as it began") {
  Merging m;
  m.append(kSite, "2\n");
  m.kernel.merging.before_plan = [&] { m.append(kSite, "more\n"); };
  must(m.merge(kTry, "site"));
  CHECK(m.text(kTry) == "1\n2\n");
  m.kernel.merging.before_plan = nullptr;
  must(m.merge(kTry, "site"));
  CHECK(m.text(kTry) == m.text(kSite));
}

TEST_CASE("what gets another name in theirs while a merge looks at it was not removed") {
  Merging m;
  m.append(kSite, "2\n");
  m.kernel.merging.before_plan = [&] { m.rename(kSite, "log", "new"); };
  must(m.merge(kTry, "site"));
  m.kernel.merging.before_plan = nullptr;
  CHECK(m.text(kTry) == "1\n2\n");
  m.rename(kSite, "new", "log");
  must(m.merge(kTry, "site"));
  must(m.merge(kSite, "try-1"));
  CHECK(m.text(kTry) == "1\n2\n");
  CHECK(m.text(kSite) == "1\n2\n");
}

TEST_CASE("what is shown of a merge that is put back is what is there then") {
  Merging m;
  m.append(kTry, "2\n");
  const auto error = [](const char* of) { return [of] { return Status(fail(EIO, "{}", of)); }; };
  std::vector<std::string> shown;  // the text of ours at each name that was told as returned
  m.kernel.paths.on_refresh = [&](const std::vector<TreeEvent>& events) {
    for (const TreeEvent& one : events) {
      if (one.kind == TreeEvent::Kind::returned) shown.push_back(one.path + ": " + m.text(kSite));
    }
  };
  m.kernel.merging.after_apply = error("apply");
  CHECK(m.merge(kSite, "try-1").error().code == EIO);
  CHECK(shown == std::vector<std::string>{"/workspaces/site/log: 1\n"});
  shown.clear();
  m.kernel.merging.before_undo = error("undo");
  CHECK(m.merge(kSite, "try-1").error().code == EIO);
  CHECK(m.text(kSite) == "1\n2\n");  // half done
  m.kernel.merging = {};
  shown.clear();
  must(m.merge(kSite, "try-1"));  // which puts that back first
  CHECK(shown == std::vector<std::string>{"/workspaces/site/log: 1\n"});
  CHECK(m.text(kSite) == "1\n2\n");
}

TEST_CASE("what is made in a directory that a merge has just removed keeps it, and has its path") {
  Merging m;
  Forest& forest = *must(m.kernel.kernel().forks().forest_of(kSite));
  const TreeNodeRef drawer = m.make_directory(kSite, "drawer");
  must(m.kernel.kernel().forks().fork(m.kernel.person(), kSite, "try-2", std::nullopt));
  const TreeNodeRef theirs = must(forest.tree("try-2")).node;
  must(forest.remove_directory(*theirs, "drawer", {}));
  m.kernel.merging.after_apply = [&] {
    must(forest.make_directory(*drawer, "late", 0755, {}));
    return ok();
  };
  std::vector<std::string> shown;
  m.kernel.paths.on_refresh = [&](const std::vector<TreeEvent>& events) {
    for (const TreeEvent& one : events) {
      if (one.kind == TreeEvent::Kind::made) shown.push_back(one.path);
    }
  };
  CHECK(must(m.merge(kSite, "try-2")).contains("drawer: has something new in it, and stays"));
  const TreeNodeRef site = must(forest.tree("site")).node;
  CHECK(find_in_tree(forest, site, "drawer/late"));
  CHECK_FALSE(find_in_tree(forest, site, ".agentfs-merge"));
  CHECK(shown == std::vector<std::string>{"/workspaces/site/drawer"});
  const std::string last = m.kernel.lines().back();
  INFO(last);
  CHECK(last.contains("\"tree.rename\""));
  CHECK(last.contains("\"/workspaces/site/.agentfs-merge/"));
  CHECK(last.contains("\"/workspaces/site/drawer\""));
  m.kernel.merging = {};
  must(m.merge(kSite, "try-2"));
}

TEST_CASE("a merge whose record has no room on the disk is refused, and nothing is changed") {
  Merging m;
  m.append(kTry, "2\n");
  // Stands for ENOSPC there.
  const std::string record = m.kernel.state() + "/merge-bases/workspaces/1.3.1";
  for (const char* beside : {".prepared", ".agentfs-new"}) {
    must(file::make_directories(record + beside));
  }
  const auto refused = m.merge(kSite, "try-1");
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, Catch::Matchers::has("merge-bases/workspaces/1.3.1"));
  CHECK(m.text(kSite) == "1\n");
  CHECK_FALSE(m.has_staging(kSite));
  CHECK_FALSE(m.kernel.kernel().merges().is_half_done(kSite));
  m.append(kTry, "3\n");
  must(m.merge(kSite, "try-1"));
  CHECK(m.text(kSite) == "1\n2\n3\n");
}

TEST_CASE("what takes a whole tree ends a merge first that was made and could not be told") {
  Merging m;
  Kernel& kernel = m.kernel.kernel();
  const Caller caller = m.kernel.person();
  must(kernel.forks().checkpoint(caller, kSite, "before"));
  m.append(kTry, "2\n");
  m.merge_untold(kSite, "try-1");
  CHECK(m.text(kSite) == "1\n2\n");
  CHECK(m.rows("tree.merge") == 0);

  SECTION("a checkpoint") {
    must(kernel.forks().checkpoint(caller, kSite, "c"));
    Forest& forest = *must(kernel.forks().forest_of(kSite));
    const TreeNodeRef kept = must(kernel.forks().checkpoint_root(kSite, "c"));
    CHECK_FALSE(find_in_tree(forest, kept, ".agentfs-merge"));
    CHECK(m.kernel.lines().back().contains("tree.checkpoint"));
  }
  SECTION("a fork") {
    must(kernel.forks().fork(caller, kSite, "try-2", std::nullopt));
    CHECK_FALSE(m.has_staging("/workspaces/try-2"));
    CHECK(m.kernel.lines().back().contains("tree.fork"));
  }
  SECTION("a merge of the same fork, which has gone on") {
    m.append(kTry, "3\n");
    must(m.merge(kSite, "try-1"));
    CHECK(m.text(kSite) == "1\n2\n3\n");
  }
  SECTION("a merge into the fork") {
    must(m.merge(kTry, "site"));
    CHECK(m.text(kTry) == "1\n2\n");
  }
  SECTION("a rollback to before it, after which the fork's work is still to be merged") {
    must(kernel.forks().rollback(caller, kSite, "before"));
    CHECK(m.text(kSite) == "1\n");
    m.kernel.finish_work();
    must(m.kernel.stop_and_start());
    CHECK(must(m.merge(kSite, "try-1")).contains(": 1 change,"));
    CHECK(m.text(kSite) == "1\n2\n");
  }
  CHECK(m.rows("tree.merge") >= 1);
  CHECK_FALSE(m.has_staging(kSite));
  m.kernel.finish_work();
}

TEST_CASE("a merge that cannot be ended yet is told, and keeps what takes the whole tree waiting") {
  Merging m;
  m.append(kTry, "2\n");
  m.refuse_rows(1000);
  const auto made = m.merge(kSite, "try-1");
  REQUIRE_FALSE(made);
  CHECK_THAT(made.error().message,
             Catch::Matchers::has("/workspaces/site: has what /workspaces/try-1 has, but"));
  const auto kept = m.kernel.kernel().forks().checkpoint(m.kernel.person(), kSite, "c");
  REQUIRE_FALSE(kept);
  CHECK(kept.error().code == EBUSY);
  CHECK_THAT(kept.error().message, Catch::Matchers::has("the last merge into it is half done"));
  const auto held = m.kernel.kernel().merges().hold(kSite);  // for a rename
  REQUIRE_FALSE(held);
  CHECK_THAT(held.error().message, Catch::Matchers::has("the last merge into it is half done"));
  m.refuse_rows(0);
  must(m.kernel.kernel().forks().checkpoint(m.kernel.person(), kSite, "c"));
  CHECK(m.rows("tree.merge") == 1);
}

TEST_CASE("a merge that was taken back before the start that ends it has not been merged") {
  Merging m;
  Kernel& kernel = m.kernel.kernel();
  must(kernel.forks().checkpoint(m.kernel.person(), kSite, "before"));
  m.append(kTry, "2\n");
  m.merge_untold(kSite, "try-1");
  const std::string order = m.kernel.state() + "/merges/" + text::hex(kSite);
  const std::string text = must(file::read(order));
  must(kernel.forks().rollback(m.kernel.person(), kSite, "before"));
  m.kernel.finish_work();
  m.kernel.stop();
  // As an earlier build has left it, which ended none before a rollback.
  const std::string records = m.kernel.state() + "/merge-bases/workspaces/";
  REQUIRE(file::exists(records + "1.3.1"));
  must(file::remove(records + "1.3.1"));
  must(file::replace(order, text));
  must(m.kernel.start());
  CHECK(must(m.merge(kSite, "try-1")).contains(": 1 change,"));
  CHECK(m.text(kSite) == "1\n2\n");
  m.kernel.finish_work();
}

TEST_CASE("a merge into a fork that was discarded is none into another one of its name") {
  Merging m;
  Forks forks = m.kernel.kernel().forks();
  const Caller caller = m.kernel.person();
  m.append(kSite, "2\n");
  m.merge_untold(kTry, "site");
  must(forks.discard(caller, kSite, "try-1"));
  must(forks.fork(caller, kSite, "try-1", std::nullopt));
  must(forks.checkpoint(caller, kTry, "c"));
  CHECK(m.rows("tree.merge") == 0);
  must(m.merge(kTry, "site"));
  m.kernel.finish_work();
}

}  // namespace agentfs::test
