// SPDX-License-Identifier: MIT
// A model whose fallback names no model was accepted, and nobody was told before it was needed.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

constexpr std::string_view kModel =
    "driver = \"script\"\nscenario = \"/dev/null\"\nfallback = [\"default\", \"oter\"]\n";

TEST_CASE("A fallback that names no model is saved, and told of with the nearest name") {
  TreeWorld world;
  CHECK(world.write("/etc/models/default.toml", kModel) == 0);
  CHECK(world.read("/etc/models/default.toml") == kModel);
  REQUIRE(world.errors().size() == 1);
  CHECK_THAT(world.errors().back(), has("ENOENT\t/etc/models/default.toml\t") && has("saved") &&
                                        has("oter") && has("did you mean other"));
}

TEST_CASE("A fallback that names a model is not told of") {
  TreeWorld world;
  CHECK(world.write("/etc/models/default.toml",
                    "driver = \"script\"\nscenario = \"/dev/null\"\nfallback = [\"other\"]\n") ==
        0);
  CHECK(world.errors().empty());
}

}  // namespace
}  // namespace agentfs::test
