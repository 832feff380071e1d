// SPDX-License-Identifier: MIT
// /etc/models of a fresh state directory was not listed as long as it held no document, so that
// nobody could save the first one there.
#include "catch.h"
#include "kernel/configuration.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("A directory of documents is listed before it holds one, and takes its first") {
  const TemporaryDirectory state;
  REQUIRE(file::make_directories(state.path() + "/models"));
  REQUIRE(file::make_directories(state.path() + "/profiles/writer/context.d"));
  const auto configuration = Configuration::open(state.path());
  REQUIRE(configuration);
  CHECK((*configuration)->list("") == std::vector<std::string>{"models/", "profiles/"});
  CHECK((*configuration)->list("profiles") == std::vector<std::string>{"writer/"});
  CHECK((*configuration)->list("profiles/writer") == std::vector<std::string>{"context.d/"});
  CHECK((*configuration)->list("models").empty());
  REQUIRE(
      (*configuration)->save("models/a.toml", "driver = \"script\"\nscenario = \"/dev/null\"\n"));
  CHECK((*configuration)->list("models") == std::vector<std::string>{"a.toml"});
}

TEST_CASE("A directory made in the tree can be found, listed and saved into") {
  TreeWorld world;
  const vfs::NodeRef etc = world.get("/etc");
  REQUIRE(etc->make_directory(world.request(), "profiles", 0755));
  REQUIRE(world.get("/etc/profiles")->make_directory(world.request(), "writer", 0755));
  const auto made = world.get("/etc/profiles/writer")
                        ->create(world.request(), "profile.toml", O_WRONLY | O_CREAT, 0644);
  REQUIRE(made);
  CHECK(write_once(world.request(), *made->opened.handle, "model = \"other\"\n") == 0);
  CHECK(made->opened.handle->flush(world.request()));
  made->opened.handle->release();
  CHECK(world.read("/etc/profiles/writer/profile.toml") == "model = \"other\"\n");
  CHECK(world.kernel().configuration().profile("writer")->model == "other");
}

}  // namespace
}  // namespace agentfs::test
