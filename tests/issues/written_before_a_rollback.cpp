// SPDX-License-Identifier: MIT
// A file that a rollback took away was told to be written behind the rollback's row, at its close:
// who followed the rows had a change of what is not there.
#include <fcntl.h>

#include <algorithm>

#include "catch.h"
#include "fs/vfs/wait_for.h"
#include "kernel/forks.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("What was written before a rollback is told before it, and once") {
  TreeWorld world;
  const std::string root = "/workspaces/site";
  Forks forks = world.kernel().forks();
  const Caller caller = world.request().caller();
  must(forks.checkpoint(caller, root, "c"));
  const auto open =
      must(world.get(root)->create(world.request(), "g", O_WRONLY, 0644)).opened.handle;
  const auto written = vfs::wait_for<std::size_t>(
      [&](Completion<std::size_t> done) { open->write(world.request(), 0, "x", std::move(done)); });
  REQUIRE(written);
  must(forks.rollback(caller, root, "c"));
  CHECK(open->flush(world.request()));
  open->release();
  std::vector<std::string> told;
  for (const std::string& line : world.base().lines()) {
    const json::Value row = must(json::parse(line));
    if (json::bytes_of(row["data"], "path").starts_with(root))
      told.emplace_back(row["kind"].text());
  }
  REQUIRE(told.size() >= 2);
  CHECK(std::ranges::count(told, "tree.write") == 1);
  CHECK(told[told.size() - 2] == "tree.write");
  CHECK(told.back() == "tree.rollback");
}

}  // namespace
}  // namespace agentfs::test
