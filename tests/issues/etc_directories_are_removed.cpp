// SPDX-License-Identifier: MIT
// rmdir of a directory of documents answered ENOENT, though it was there.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

Status remove_directory(TreeWorld& world, const std::string& path) {
  return world.get(parent_of(path))->remove_directory(world.request(), name_of(path));
}

TEST_CASE("A directory of documents is removed when it is empty") {
  TreeWorld world;
  const vfs::NodeRef etc = world.get("/etc");
  if (!world.find("/etc/profiles")) {
    REQUIRE(etc->make_directory(world.request(), "profiles", 0755));
  }
  REQUIRE(world.get("/etc/profiles")->make_directory(world.request(), "writer", 0755));
  REQUIRE(world.get("/etc/profiles/writer")->make_directory(world.request(), "context.d", 0755));
  const Status full = remove_directory(world, "/etc/profiles/writer");
  REQUIRE_FALSE(full);
  CHECK(full.error().code == ENOTEMPTY);
  const vfs::NodeRef texts = world.get("/etc/profiles/writer/context.d");
  CHECK(texts->unlink(world.request(), "README").error().code == EPERM);
  CHECK_THAT(world.errors().back(), has("README: is generated"));
  CHECK(remove_directory(world, "/etc/profiles/writer/context.d"));
  CHECK(world.find("/etc/profiles/writer/context.d").error().code == ENOENT);
  CHECK(remove_directory(world, "/etc/profiles/writer"));
  CHECK(world.find("/etc/profiles/writer").error().code == ENOENT);
  CHECK(remove_directory(world, "/etc/profiles/writer").error().code == ENOENT);
}

TEST_CASE("A directory of documents that always stands says so, or what is in it") {
  TreeWorld world;
  const Status full = remove_directory(world, "/etc/models");
  REQUIRE_FALSE(full);
  CHECK(full.error().code == ENOTEMPTY);
  CHECK_THAT(world.errors().back(), has("/etc/models") && has("ENOTEMPTY") && has("default.toml"));
  for (const vfs::DirectoryItem& item : world.items(*world.get("/etc/models"))) {
    if (item.name == "README") continue;
    REQUIRE(world.get("/etc/models")->unlink(world.request(), item.name));
  }
  const Status stands = remove_directory(world, "/etc/models");
  REQUIRE_FALSE(stands);
  CHECK(stands.error().code == EBUSY);
  CHECK_THAT(world.errors().back(), has("/etc/models: always stands"));
  CHECK(world.find("/etc/models"));
}

TEST_CASE("A directory of a table is not removed") {
  TreeWorld world;
  CHECK(remove_directory(world, "/etc").error().code == EPERM);
  CHECK(remove_directory(world, world.path_of(world.idle, "context.d")).error().code == EPERM);
}

}  // namespace
}  // namespace agentfs::test
