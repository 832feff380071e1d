// SPDX-License-Identifier: MIT
// A restore beside renames of its directory: the feed told of the names under which files lie
// ready, which nobody has made, since they were known by the directory's name of before.
#include <sys/stat.h>

#include "catch.h"
#include "kernel/leftovers.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("What lies ready goes with its directory, also where two take each other's name") {
  TreeWorld world;
  const auto site = world.get("/workspaces/site");
  REQUIRE(site->make_directory(world.request(), "d", 0755));
  REQUIRE(site->make_directory(world.request(), "e", 0755));
  Temporaries& temporaries = world.kernel().temporaries();
  const std::string name = "/.agentfs-0123456789ab";
  const std::string other = "/.agentfs-0123456789ac";
  const auto path = [](const char* directory, const std::string& below) {
    return std::string("/workspaces/site/") + directory + below;
  };
  REQUIRE(temporaries.begin(path("d", name)));
  REQUIRE(temporaries.begin(path("e", other)));
  REQUIRE(site->rename(world.request(), "d", *site, "e", RENAME_EXCHANGE));
  CHECK(temporaries.lies_ready(path("e", name)));
  CHECK(temporaries.lies_ready(path("d", other)));
  CHECK_FALSE(temporaries.lies_ready(path("d", name)));
  REQUIRE(site->rename(world.request(), "d", *site, "f", 0));
  CHECK(temporaries.lies_ready(path("f", other)));
  temporaries.end(path("e", other));
  CHECK_FALSE(temporaries.lies_ready(path("f", other)));
  temporaries.end(path("d", name));
  CHECK_FALSE(temporaries.lies_ready(path("e", name)));
}

}  // namespace
}  // namespace agentfs::test
