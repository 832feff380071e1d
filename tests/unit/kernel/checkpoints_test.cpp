// SPDX-License-Identifier: MIT
// Checkpoints on their way to git: what is committed of which, once, and after a restart.
#include <fcntl.h>

#include <filesystem>

#include "base/file.h"
#include "catch.h"
#include "kernel/fold.h"
#include "kernel/forks.h"
#include "kernel/kinds.h"
#include "kernel/tree_path.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using test::must;
using test::TestKernel;

// The fake repository keeps orders, and what lay in their sources when they came.
struct Space : TestKernel {
  Space() {
    must(file::make_directories(host("site/.git")));
    repository.on_commit = [this](const TurnCommit& commit) {
      seen.push_back(file::read(commit.source + "/a").value_or("-"));
    };
  }
  std::string host(const std::string& path) const { return state() + "/trees/workspaces/" + path; }
  void write(const std::string& path, const std::string& text) {
    must(file::replace(host(path), text));
    must(kernel().record_change(person(), {.operation = "write", .path = "/workspaces/" + path}));
  }
  void checkpoint(const std::string& name, const std::string& space = "site") {
    must(kernel().forks().checkpoint(person(), "/workspaces/" + space, name));
  }
  std::vector<TurnCommit> commits(std::size_t count) {
    // Folded soon after it is in the journal.
    REQUIRE(test::eventually([&] { return told() >= count && !is_pending(); }));
    return repository.commits();
  }
  std::size_t told() const {
    std::size_t count = 0;
    for (const std::string& line : lines()) count += line.contains(kind::kCheckpointCommit);
    return count;
  }
  bool is_pending() {
    bool pending = false;
    kernel().look_at_fold(
        [&](const Fold& fold) { pending = !fold.with_pending_checkpoints().empty(); });
    return pending;
  }
  std::vector<std::string> seen;
};

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("a checkpoint is committed as it was, from what has changed since the last") {
  Space t;
  t.write("site/a", "1");
  t.write("site/b", "1");
  t.checkpoint("one");
  const auto first = t.commits(1);
  CHECK(first[0].changed == Paths{"a", "b"});
  CHECK(first[0].ref == "refs/agentfs/checkpoints/one");
  CHECK(first[0].author == "root (pid 1)");
  CHECK(first[0].parent.empty());
  CHECK(first[0].always);
  CHECK(first[0].message == "checkpoint one of site\n");
  CHECK(test::eventually([&] { return !file::exists(first[0].source); }));
  t.write("site/a", "2");
  t.checkpoint("two words");
  const auto second = t.commits(2);
  CHECK(second[1].changed == Paths{"a"});
  CHECK(second[1].ref == "refs/agentfs/checkpoints/two%20words");
  CHECK(second[1].parent.size() == 40);
  CHECK(t.seen == Paths{"1", "2"});
  CHECK_FALSE(t.is_pending());
}

TEST_CASE("what fails is told, is not tried again, and is in the next commit") {
  Space t;
  t.write("site/a", "1");
  t.repository.fail_next({EBUSY, "git: the ref is locked"});
  t.checkpoint("one");
  t.commits(1);
  CHECK_FALSE(t.is_pending());
  t.write("site/b", "1");
  t.checkpoint("two");
  CHECK(t.commits(2).back().changed == Paths{"a", "b"});
}

TEST_CASE("what a daemon did not end its successor does") {
  Space t;
  t.write("site/a", "1");
  t.repository.fail_next({EINTR, "git: the daemon is ending"});
  t.checkpoint("one");
  REQUIRE(test::eventually([&] { return t.repository.calls() == 1; }));
  must(t.stop_and_start());
  CHECK(t.is_pending());
  t.kernel().resume();
  t.commits(1);
  CHECK(t.seen == Paths{"1"});
  CHECK_FALSE(t.is_pending());
}

TEST_CASE("a commit whose parent is gone has the whole tree") {
  Space t;
  t.write("site/a", "1");
  t.checkpoint("one");
  t.commits(1);
  t.repository.fail_next({ESTALE, "git: is not in the repository any more"});
  t.write("site/b", "2");
  t.checkpoint("two");
  const auto made = t.commits(2);
  CHECK(made.back().changed == Paths{""});
  CHECK(made.back().parent.empty());
}

TEST_CASE("without a repository there is no commit, and homes have none") {
  Space t;
  must(file::make_directories(t.host("plain")));
  t.write("plain/a", "1");
  t.checkpoint("one", "plain");
  CHECK_FALSE(t.is_pending());
  CHECK_FALSE(t.kernel().checkpoint_reaches("/home/root").has_value());
  // The daemon's own, once turns have made it.
  must(file::make_directories(t.state() + "/git/plain.git"));
  t.checkpoint("two", "plain");
  CHECK(t.commits(1).back().changed == Paths{"a"});
}

TEST_CASE("a fork goes on from its parent's last commit") {
  Space t;
  t.write("site/a", "1");
  t.checkpoint("one");
  t.commits(1);
  t.write("site/b", "1");
  must(t.kernel().forks().fork(t.person(), "/workspaces/site", "try-1", std::nullopt));
  t.write("site/c", "1");
  t.checkpoint("one", "try-1");
  const auto made = t.commits(2);
  CHECK(made[1].changed == Paths{"b"});
  CHECK(made[1].parent.size() == 40);
  // Of one from before, anything may differ.
  must(t.kernel().forks().fork(t.person(), "/workspaces/site", "try-2", "one"));
  t.checkpoint("one", "try-2");
  CHECK(t.commits(3)[2].changed == Paths{""});
}

TEST_CASE("a dropped checkpoint is not committed any more") {
  Space t;
  t.repository.fail_next({EINTR, "git: the daemon is ending"});
  t.write("site/a", "1");
  t.checkpoint("one");
  REQUIRE(test::eventually([&] { return t.repository.calls() == 1; }));
  must(t.kernel().forks().discard(t.person(), "/workspaces/site", "one"));
  CHECK_FALSE(t.is_pending());
}

TEST_CASE("a rollback leaves known the commits that were told before the checkpoint was made") {
  Space t;
  std::size_t made = 0;
  for (const char* name : {"one", "two", "three"}) {
    t.write("site/a", name);
    t.checkpoint(name);
    t.commits(++made);
  }
  const auto known = [&] {
    std::string text;
    t.kernel().look_at_fold([&](const Fold& fold) {
      const CheckpointCommits& commits = fold.find_workspace("site")->checkpoints;
      CHECK(commits.state == "1.3");
      text = json::dump(to_json(commits));
    });
    return text;
  };
  const auto earlier = [&] {
    std::vector<std::string> states;
    t.kernel().look_at_fold([&](const Fold& fold) {
      for (const auto& one : fold.find_workspace("site")->checkpoints.earlier) {
        states.push_back(one.state);
      }
    });
    return states;
  };
  CHECK(earlier() == std::vector<std::string>{"1.1", "1.2", "1.3"});
  must(t.kernel().forks().rollback(t.person(), "/workspaces/site", "two"));
  CHECK(earlier() == std::vector<std::string>{"1.1"});
  const std::string before = known();
  t.finish_work();  // the rollback is told to watchers from the forest that goes
  must(t.stop_and_start());
  CHECK(known() == before);
  must(t.kernel().forks().rollback(t.person(), "/workspaces/site", "undo-1"));
  CHECK(earlier().empty());  // a state without a commit: what its repository has is not known
  t.finish_work();
}

namespace {

// Rolled back to "one", where "a" was "1", which the journal refuses to be told.
struct Untold : Space {
  Untold() {
    write("site/a", "1");
    checkpoint("one");
    commits(1);
    put("2");
  }
  // In place, as a program does it.
  void put(std::string_view text) {
    {
      const auto file = open(O_WRONLY);
      const Writing writing = must(forest().begin_write(*file));
      must(file::write_all(file->descriptor(), text));
    }
    must(kernel().record_change(person(), {.operation = "write", .path = "/workspaces/site/a"}));
  }
  std::string text() { return must(file::read(open(O_RDONLY)->descriptor())); }
  std::string roll_back(const std::string& name) {
    const auto refused = kernel().forks().rollback(person(), "/workspaces/site", name);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ENOSPC);
    return refused.error().message;
  }
  void refuse_rows(std::size_t times) { log_faults->fail_call(LogCall::append, ENOSPC, 1, times); }
  // Of all rollbacks, what each is undone by.
  std::vector<std::string> told_rollbacks() const {
    std::vector<std::string> undone_by;
    for (const std::string& line : lines()) {
      if (!line.contains("tree.rollback")) continue;
      undone_by.emplace_back(must(json::parse(line))["data"]["undo"].text());
    }
    return undone_by;
  }

 private:
  Forest& forest() { return *must(kernel().forks().forest_of("/workspaces/site")); }
  std::unique_ptr<TreeFile> open(int flags) {
    const TreeNodeRef top = must(forest().tree("site")).node;
    return must(forest().open(*must(find_in_tree(forest(), top, "a")).node, flags, {}));
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a rollback that the journal could not be told of is told by the next start") {
  Untold t;
  t.refuse_rows(1000);
  const std::string sentence = t.roll_back("one");
  CHECK_THAT(sentence, Catch::Matchers::has("by this daemon or the next start"));
  CHECK(t.kernel().forks().find("/workspaces/site", "undo-1")->was_replaced);
  CHECK(t.told_rollbacks().empty());
  t.finish_work();  // watchers are told of it all the same
  t.stop();
  t.refuse_rows(0);
  must(t.start());
  CHECK(t.told_rollbacks() == Names{"undo-1"});
  must(t.kernel().forks().rollback(t.person(), "/workspaces/site", "undo-1"));
  t.finish_work();
}

TEST_CASE("rollbacks that the journal could not be told of are told in their order") {
  Untold t;
  t.refuse_rows(1000);
  t.roll_back("one");
  SECTION("before the next that it takes, and not again by a start") {
    t.refuse_rows(0);
    must(t.kernel().forks().rollback(t.person(), "/workspaces/site", "undo-1"));
    CHECK(t.told_rollbacks() == Names{"undo-1", "undo-2"});
    t.finish_work();
    must(t.stop_and_start());
  }
  SECTION("by the start, where it took none") {
    const std::string sentence = t.roll_back("undo-1");
    CHECK_THAT(sentence, Catch::Matchers::has("is to be told before anything else of it"));
    t.finish_work();
    t.stop();
    t.refuse_rows(0);
    must(t.start());
  }
  CHECK(t.told_rollbacks() == Names{"undo-1", "undo-2"});
  CHECK(t.text() == "2");
  t.finish_work();
}

TEST_CASE("what is kept after a rollback that was not told is committed as it was kept") {
  Untold t;
  t.refuse_rows(1000);
  t.roll_back("one");
  const auto kept = t.kernel().forks().checkpoint(t.person(), "/workspaces/site", "two");
  REQUIRE_FALSE(kept);
  CHECK_THAT(kept.error().message,
             Catch::Matchers::has("is to be told before anything else of it"));
  CHECK_FALSE(t.kernel().forks().find("/workspaces/site", "two"));
  t.refuse_rows(0);
  t.checkpoint("two");
  CHECK(t.told_rollbacks() == Names{"undo-1"});
  t.commits(2);
  CHECK(t.seen == Names{"1", "1"});
  t.finish_work();
}

TEST_CASE("what is done in other trees does not wait for a rollback to be told, and tells it") {
  Untold t;
  t.refuse_rows(2);
  t.roll_back("one");
  must(file::make_directories(t.host("other")));
  t.write("other/a", "1");  // the second refusal was of the rollback before it
  CHECK(t.told_rollbacks().empty());
  t.write("other/a", "2");
  CHECK(t.told_rollbacks() == Names{"undo-1"});
  t.finish_work();
}

TEST_CASE("a rollback that could not be noted is told by the daemon that made it") {
  Untold t;
  std::filesystem::remove(t.state() + "/tree-orders");
  must(file::replace(t.state() + "/tree-orders", "no directory"));
  t.refuse_rows(1000);
  const std::string sentence = t.roll_back("one");
  CHECK_THAT(sentence, Catch::Matchers::has("by this daemon alone"));
  t.refuse_rows(0);
  t.put("3");
  CHECK(t.told_rollbacks() == Names{"undo-1"});
  t.finish_work();
}

TEST_CASE("a renamed workspace takes its commits along") {
  Space t;
  t.write("site/a", "1");
  t.checkpoint("one");
  t.commits(1);
  must(t.kernel().record_change(
      t.person(), {.operation = "rename", .path = "/workspaces/site", .other = "/workspaces/web"}));
  t.kernel().look_at_fold([](const Fold& fold) {
    CHECK(fold.find_workspace("site") == nullptr);
    REQUIRE(fold.find_workspace("web") != nullptr);
    CHECK(fold.find_workspace("web")->checkpoints.commit.size() == 40);
    CHECK(fold.find_workspace("web")->changed.all().contains(""));
  });
  must(t.stop_and_start());
  t.kernel().look_at_fold(
      [](const Fold& fold) { CHECK(fold.find_workspace("web")->checkpoints.commit.size() == 40); });
}

}  // namespace agentfs
