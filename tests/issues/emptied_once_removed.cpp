// SPDX-License-Identifier: MIT
// Who had found a file that another was about to remove, and emptied it, was told of under the name
// that it had no more, behind the removal; and what has no name at all was kept, for nobody.
#include <fcntl.h>

#include "catch.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("What is emptied once its name has gone is told under no name, and not kept") {
  TreeWorld world;
  const auto site = world.get("/workspaces/site");
  const std::string path = "/workspaces/site/f";
  must(site->create(world.request(), "f", O_WRONLY, 0644)).opened.handle->release();
  spit(world.base().state() + "/trees" + path, "one");
  const vfs::NodeRef file = world.get(path);
  const auto held = must(file->open(world.request(), O_RDONLY));
  REQUIRE(site->unlink(world.request(), "f"));
  const std::size_t before = world.base().lines().size();
  must(file->open(world.request(), O_WRONLY | O_TRUNC)).handle->release();
  const std::vector<std::string> lines = world.base().lines();
  CHECK(lines.size() > before);
  for (std::size_t i = before; i < lines.size(); ++i) {
    CHECK_THAT(lines[i], !Catch::Matchers::has(path + "\""));
    CHECK_THAT(lines[i], !Catch::Matchers::has("\"kept\""));
  }
  held.handle->release();
}

}  // namespace
}  // namespace agentfs::test
