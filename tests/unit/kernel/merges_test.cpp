// SPDX-License-Identifier: MIT
// What the next merge of two trees begins from.
#include "kernel/merges.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
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

}  // namespace agentfs::test
