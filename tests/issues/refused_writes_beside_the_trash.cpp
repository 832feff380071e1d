// SPDX-License-Identifier: MIT
// An agent's write makes the directories of its path. One that was refused then took them away
// again as anybody does: they were kept in the place of those that had been removed there, and the
// files below those did not come back with them.
#include <sys/stat.h>
#include <unistd.h>

#include "catch.h"
#include "support/trash.h"

namespace agentfs::test {
namespace {

const std::string kSub = kSite + "/sub";

std::vector<std::string> names(TreeWorld& world, const std::string& path) {
  std::vector<std::string> all;
  for (const auto& item : world.items(*world.get(path))) all.push_back(item.name);
  return all;
}

// sub (0700) with sub/deep/secret, removed by somebody.
void remove_secret(TreeWorld& world) {
  vfs::Request& request = world.request();
  REQUIRE(world.get(kSite)->make_directory(request, "sub", 0700));
  REQUIRE(world.get(kSub)->make_directory(request, "deep", 0750));
  REQUIRE(world.files().write(request.caller(), kSub + "/deep/secret", "secret"));
  REQUIRE(world.get(kSub + "/deep")->unlink(request, "secret"));
  REQUIRE(world.get(kSub)->remove_directory(request, "deep"));
  REQUIRE(world.get(kSite)->remove_directory(request, "sub"));
}

mode_t mode_of(TreeWorld& world, const std::string& path) {
  return world.find(path)->attributes.st_mode & 07777U;
}

void check_that_sub_comes_back(TreeWorld& world) {
  const auto told =
      world.kernel().history().restore(world.request().caller(), kSite, "sub", std::nullopt);
  REQUIRE(told);
  CHECK(told->starts_with("restored 3 paths"));
  CHECK(mode_of(world, kSub) == 0700);
  CHECK(mode_of(world, kSub + "/deep") == 0750);
  CHECK(world.find(kSub + "/deep/secret"));
}

TEST_CASE("A write that is refused half-way leaves the trash as it was") {
  TreeWorld world;
  remove_secret(world);
  const auto before = trash_below(world, kSite);
  const auto refuse = []() -> Result<std::string> { return fail(EIO, "no text"); };
  CHECK_FALSE(world.files().rewrite(world.request().caller(), kSub + "/deep/x", refuse));
  CHECK_FALSE(world.find(kSub));
  CHECK(trash_below(world, kSite) == before);
  SECTION("and what was removed there comes back whole") { check_that_sub_comes_back(world); }
  SECTION("also after a restart") {
    world.restart();
    CHECK(trash_below(world, kSite) == before);
    check_that_sub_comes_back(world);
  }
}

TEST_CASE("What somebody makes in the place of a directory of a refused write stays") {
  TreeWorld world;
  vfs::Request& request = world.request();
  const auto move_and_refuse = [&]() -> Result<std::string> {
    REQUIRE(world.get(kSite)->rename(request, "sub", *world.get(kSite), "moved", 0));
    REQUIRE(world.get(kSite)->make_directory(request, "sub", 0700));
    return fail(EIO, "no text");
  };
  CHECK_FALSE(world.files().rewrite(request.caller(), kSub + "/x", move_and_refuse));
  REQUIRE(world.find(kSub));
  CHECK(mode_of(world, kSub) == 0700);
}

TEST_CASE("A write that its path or a limit refuses is refused before it makes a directory") {
  TreeWorld world;
  remove_secret(world);
  const Caller caller = world.request().caller();
  const auto before = trash_below(world, kSite);
  SECTION("a name that is too long") {
    const auto head = world.head();
    const auto done = world.files().write(caller, kSub + "/deep/" + std::string(300, 'x'), "text");
    REQUIRE_FALSE(done);
    CHECK(done.error().code == ENAMETOOLONG);
    CHECK(world.head() == head);
  }
  SECTION("a directory whose name is too long") {
    const auto head = world.head();
    const auto done =
        world.files().write(caller, kSub + "/" + std::string(300, 'x') + "/x", "text");
    REQUIRE_FALSE(done);
    CHECK(done.error().code == ENAMETOOLONG);
    CHECK(world.head() == head);
  }
  SECTION("a limit") {
    REQUIRE(world.write(kSite + "/.agentfs/limits", "bytes=64K\n") == 0);
    world.files().quotas_changed();
    world.files().await_count(kSite);
    const auto head = world.head();
    const auto done = world.files().write(caller, kSub + "/deep/x", std::string(200'000, 'x'));
    REQUIRE_FALSE(done);
    CHECK(done.error().code == EDQUOT);
    CHECK(world.head() == head);
  }
  CHECK(trash_below(world, kSite) == before);
  check_that_sub_comes_back(world);
}

TEST_CASE("A write that succeeds takes its directories out of the trash") {
  TreeWorld world;
  remove_secret(world);
  REQUIRE(world.files().write(world.request().caller(), kSub + "/deep/x", "text"));
  CHECK(names(world, kSub) == std::vector<std::string>{"deep"});
  CHECK(trash_below(world, kSite).size() == 1);
}

}  // namespace
}  // namespace agentfs::test
