// SPDX-License-Identifier: MIT
// A workspace that was renamed while a merge into it was under way stayed half merged: the merge
// goes by its name.
#include "catch.h"
#include "kernel/merges.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("A workspace keeps its name while a merge into it or from it is under way") {
  TreeWorld world;
  const auto top = world.get("/workspaces");
  REQUIRE(top->make_directory(world.request(), "other", 0755));
  const auto move = [&](const std::string& from, const std::string& to, unsigned flags = 0) {
    const Status moved = top->rename(world.request(), from, *top, to, flags);
    return moved ? 0 : moved.error().code;
  };
  ConflictTable& table = world.kernel().conflicts();
  REQUIRE(table.begin("/workspaces/site"));
  CHECK(move("site", "renamed") == EBUSY);
  CHECK(move("other", "site", RENAME_EXCHANGE) == EBUSY);
  CHECK(move("other", "free") == 0);
  table.end("/workspaces/site");
  CHECK(move("site", "renamed") == 0);
  // One that a crash cut short, and that could not be ended, has its order by the name.
  const std::string orders = world.base().state() + "/merges";
  spit(orders + "/" + text::hex("/workspaces/renamed"), "{}");
  CHECK(move("renamed", "site") == EBUSY);
}

}  // namespace
}  // namespace agentfs::test
