// SPDX-License-Identifier: MIT
// The host's kernel tells of the end of a descriptor some time after close(2). One that had only
// cut a document then saved the empty text over what another had saved since.
#include <fcntl.h>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("A document that was cut is not emptied again by the late end of who cut it") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d/rules.md");
  REQUIRE(world.write(path, "# before\n") == 0);
  for (const bool by_open : {true, false}) {
    auto opened = world.get(path)->open(world.request(), by_open ? O_WRONLY | O_TRUNC : O_WRONLY);
    REQUIRE(opened);
    if (!by_open) {
      SetAttributes cut{.which = SetAttributes::size};
      REQUIRE(world.get(path)->set_attributes(world.request(), opened->handle.get(), cut));
    }
    REQUIRE(opened->handle->flush(world.request()));
    // Also where it is what the document held before it was cut.
    for (const char* const text : {"# before\n", "# after\n"}) {
      REQUIRE(world.write(path, text) == 0);
    }
    REQUIRE(world.write(path, "# before\n") == 0);
    opened->handle->release();
    CHECK(world.read(path) == "# before\n");
  }
}

TEST_CASE("A document that was cut, and that nobody has saved since, is empty at the end") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d/rules.md");
  REQUIRE(world.write(path, "# before\n") == 0);
  auto opened = world.get(path)->open(world.request(), O_WRONLY | O_TRUNC);
  REQUIRE(opened);
  REQUIRE(opened->handle->flush(world.request()));
  opened->handle->release();
  CHECK(world.read(path).empty());
}

}  // namespace
}  // namespace agentfs::test
