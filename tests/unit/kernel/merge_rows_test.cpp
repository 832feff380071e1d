// SPDX-License-Identifier: MIT
// What is told of a merge: every name that goes, in an order that could be followed.
#include "kernel/merge_rows.h"

#include "catch.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

using Kind = MergeAction::Kind;

constexpr FileState kFile{.mode = S_IFREG | 0644};

MergeAction moved(Kind kind, const char* from, const char* to) {
  return {.kind = kind, .mode = kFile.mode, .path = to, .ours_path = from, .ours = kFile};
}

MergeAction directory(Kind kind, const char* path) {
  MergeAction action{.kind = kind, .mode = S_IFDIR | 0755, .path = path};
  if (kind == Kind::remove_directory) action.ours_path = path;
  return action;
}

std::vector<std::string> told(const MergePlan& plan) {
  std::vector<std::string> lines;
  for (const json::Value& row : merge_rows("/w", plan)) {
    const TreeChange change = change_of(row);
    lines.push_back(fmt::format("{} {}{}{}", change.operation, change.path,
                                change.other.empty() ? "" : " ", change.other));
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a file that was moved is renamed, and what else became of it is told after that") {
  MergePlan plan;
  plan.actions = {moved(Kind::write, "f", "g"), moved(Kind::move, "h", "i"),
                  moved(Kind::move, "j", "k"), moved(Kind::write, "same", "same")};
  plan.actions[2].mode = S_IFREG | 0600;
  CHECK(told(plan) == Lines{"rename /w/f /w/g", "rename /w/h /w/i", "rename /w/j /w/k",
                            "write /w/g", "write /w/same", "attributes /w/k"});
  std::vector<std::string> gone;
  for (const TreeEvent& event : events_of(merge_rows("/w", plan))) {
    if (event.kind == TreeEvent::Kind::removed) gone.push_back(event.path);
  }
  CHECK(gone == Lines{"/w/f", "/w/h", "/w/j"});
}

TEST_CASE("names become free before they are taken") {
  MergePlan plan;
  plan.actions = {directory(Kind::make_directory, "new"),   directory(Kind::make_directory, "x"),
                  moved(Kind::move, "old/f", "new/f"),      moved(Kind::write, "x", "y"),
                  {.kind = Kind::write, .path = "d"},       moved(Kind::remove, "d/e", "d/e"),
                  directory(Kind::remove_directory, "old"), directory(Kind::remove_directory, "d")};
  CHECK(told(plan) == Lines{"remove /w/d/e", "rename /w/x /w/y", "mkdir /w/new", "mkdir /w/x",
                            "rename /w/old/f /w/new/f", "remove /w/old", "remove /w/d",
                            "write /w/y", "create /w/d"});
}

TEST_CASE("a file that changes places with a directory is removed and created") {
  MergePlan plan;
  plan.actions = {directory(Kind::make_directory, "x"), moved(Kind::move, "x", "x/y"),
                  moved(Kind::write, "d/f", "d"), directory(Kind::remove_directory, "d")};
  CHECK(told(plan) == Lines{"remove /w/x", "remove /w/d/f", "mkdir /w/x", "remove /w/d",
                            "create /w/x/y", "create /w/d"});
}

TEST_CASE("of a merge that was undone every name is to be looked at again") {
  MergePlan plan;
  plan.actions = {moved(Kind::write, "f", "g")};
  for (const TreeEvent& event : as_undone(events_of(merge_rows("/w", plan)))) {
    CHECK(event.kind == TreeEvent::Kind::returned);
  }
  CHECK(as_undone(events_of(merge_rows("/w", plan))).size() == 3);
}

TEST_CASE("rows of another merge from the same tree are not those of this one") {
  TestKernel t;
  const Sequence head = t.kernel().journal().head().sequence;
  const auto tell = [&](const char* kind, const char* path, const char* member) {
    must(t.commit(kind, json::Object{{"path", path}, {member, "/workspaces/fork"}}));
  };
  tell("tree.merge", "/workspaces/other", "other");
  tell("tree.write", "/workspaces/other/a", "merge");
  tell("tree.merge", "/workspaces/site", "other");
  tell("tree.write", "/workspaces/site/a", "merge");
  tell("tree.write", "/workspaces/site-2/a", "merge");
  CHECK(must(merge_rows_told(t.kernel().journal(), head, "/workspaces/site", "/workspaces/fork")) ==
        2);
}

}  // namespace agentfs::test
