// SPDX-License-Identifier: MIT
// A restore that failed half-way took its directories away as anybody does: with the mode that they
// have until they are filled they were in the trash, and came back so. Of what had come back
// nothing was said.
#include <sys/stat.h>

#include "catch.h"
#include "support/restores.h"
#include "support/trash.h"

namespace agentfs::test {
namespace {

// d (0750) with d/a, and d/sub (0710) with d/sub/b, all removed.
void remove_all(TreeWorld& world) {
  vfs::Request& request = world.request();
  REQUIRE(world.get(kSite)->make_directory(request, "d", 0750));
  REQUIRE(world.get(kTop)->make_directory(request, "sub", 0710));
  for (const char* const name : {"/a", "/sub/b"}) {
    REQUIRE(world.files().write(request.caller(), kTop + name, name));
  }
  REQUIRE(world.get(kTop + "/sub")->unlink(request, "b"));
  REQUIRE(world.get(kTop)->remove_directory(request, "sub"));
  REQUIRE(world.get(kTop)->unlink(request, "a"));
  REQUIRE(world.get(kSite)->remove_directory(request, "d"));
}

RestoreStep refused(const std::string& path) {
  RestoreStep step{.path = path, .mode = S_IFREG | 0644};
  step.bytes = []() -> Result<std::unique_ptr<TreeFile>> { return fail(EIO, "the disk fails"); };
  return step;
}

void check_that_all_comes_back(TreeWorld& world) {
  REQUIRE(world.kernel().history().restore(world.request().caller(), kSite, "d", std::nullopt));
  CHECK((world.find(kTop)->attributes.st_mode & 07777U) == 0750);
  CHECK((world.find(kTop + "/sub")->attributes.st_mode & 07777U) == 0710);
  CHECK(world.find(kTop + "/a"));
  CHECK(world.find(kTop + "/sub/b"));
}

TEST_CASE("Of a restore that brings nothing the trash stays as it was") {
  TreeWorld world;
  remove_all(world);
  const auto before = trash_below(world, kSite);
  const auto done = world.files().restore(world.request().caller(),
                                          {{.path = kTop, .mode = S_IFDIR | 0750},
                                           {.path = kTop + "/sub", .mode = S_IFDIR | 0710},
                                           refused(kTop + "/sub/b")});
  REQUIRE_FALSE(done);
  CHECK_THAT(done.error().message, Catch::Matchers::has("the disk fails; nothing was restored"));
  CHECK_FALSE(world.find(kTop));
  CHECK(trash_below(world, kSite) == before);
  check_that_all_comes_back(world);
}

TEST_CASE("A restore that brings a part says how much, and the same command brings the rest") {
  TreeWorld world;
  remove_all(world);
  const auto done = world.files().restore(world.request().caller(),
                                          {{.path = kTop, .mode = S_IFDIR | 0750},
                                           {.path = kTop + "/a", .mode = S_IFREG | 0644},
                                           {.path = kTop + "/sub", .mode = S_IFDIR | 0710},
                                           refused(kTop + "/sub/b")});
  REQUIRE_FALSE(done);
  CHECK_THAT(done.error().message,
             Catch::Matchers::has("2 of 4 paths were restored, and the same command brings the "
                                  "rest"));
  CHECK((world.find(kTop)->attributes.st_mode & 07777U) == 0750);
  CHECK_FALSE(world.find(kTop + "/sub"));
  check_that_all_comes_back(world);
}

TEST_CASE("A restore whose attributes find no room is no success") {
  TreeWorld world;
  constexpr std::uint64_t kBlock = 4096;
  const auto held = world.files().holding(kSite);
  REQUIRE(held);
  const std::string limit = fmt::format("bytes={}\n", held->bytes + kBlock);
  REQUIRE(world.write(kSite + "/.agentfs/limits", limit) == 0);
  world.files().quotas_changed();
  world.files().await_count(kSite);
  RestoreStep step{.path = kTop, .mode = S_IFDIR | 0750};
  step.xattrs["user.large"] = std::string(2 * kBlock, 'x');
  const auto done = world.files().restore(world.request().caller(), {step});
  REQUIRE_FALSE(done);
  CHECK(done.error().code == EDQUOT);
}

}  // namespace
}  // namespace agentfs::test
