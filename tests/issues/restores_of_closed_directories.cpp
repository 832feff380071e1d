// SPDX-License-Identifier: MIT
// A directory that an access list closes to its group came back without the list where something
// kept it out, and with the mode, whose bits for the group say then what the list allowed at most;
// one that was there had no list until all in it had come back.
#include <endian.h>
#include <sys/stat.h>

#include "base/blocks.h"
#include "catch.h"
#include "kernel/history_keeper.h"
#include "support/restores.h"

namespace agentfs::test {
namespace {

const std::string kAccess = "system.posix_acl_access";

// acl(5) as its extended attribute: one user may do all, the group and all others nothing.
std::string closed_to_the_group(std::uint32_t user) {
  struct Entry {
    std::uint16_t tag = 0;
    std::uint16_t allowed = 0;
    std::uint32_t id = ~0u;
  };
  const Entry entries[] = {{.tag = 0x01, .allowed = 7},
                           {.tag = 0x02, .allowed = 7, .id = htole32(user)},
                           {.tag = 0x04, .allowed = 0},
                           {.tag = 0x10, .allowed = 7},
                           {.tag = 0x20, .allowed = 0}};
  std::string text("\2\0\0\0", 4);
  for (const Entry& one : entries) {
    const Entry raw{htole16(one.tag), htole16(one.allowed), one.id};
    text.append(reinterpret_cast<const char*>(&raw), sizeof raw);
  }
  return text;
}

RestoreStep directory_step() {
  RestoreStep step{.path = kTop, .mode = S_IFDIR | 0770, .is_again = true};
  step.xattrs[kAccess] = closed_to_the_group(1001);
  return step;
}

std::string list_of(TreeWorld& world) {
  return world.get(kTop)->get_xattr(world.request(), kAccess).value_or("none");
}

mode_t mode_of(TreeWorld& world) { return world.find(kTop)->attributes.st_mode & 07777U; }

// So many blocks more than it has now.
void limit(TreeWorld& world, std::uint64_t blocks) {
  const auto held = world.files().holding("/workspaces/site");
  REQUIRE(held);
  REQUIRE(world.write("/workspaces/site/.agentfs/limits",
                      fmt::format("bytes={}\n", held->bytes + blocks * kBlock)) == 0);
  world.files().quotas_changed();
  world.files().await_count("/workspaces/site");
}

// d, with the list.
bool make_closed(TreeWorld& world) {
  REQUIRE(world.get("/workspaces/site")->make_directory(world.request(), "d", 0770));
  const vfs::NodeRef top = world.get(kTop);
  if (top->set_xattr(world.request(), kAccess, closed_to_the_group(1001), 0)) return true;
  WARN("SKIPPED: no access control lists on this disk");
  return false;
}

bool has_lists(TreeWorld& world) {
  if (!make_closed(world)) return false;
  REQUIRE(world.get("/workspaces/site")->remove_directory(world.request(), "d"));
  return true;
}

TEST_CASE("A directory whose access list cannot come back gives its group nothing") {
  TreeWorld world;
  if (!has_lists(world)) return;
  limit(world, 1);
  RestoreStep step = directory_step();
  step.xattrs[kAccess] += std::string(2 * kBlock, 'x');
  const auto done = world.files().restore(world.request().caller(), {step});
  REQUIRE_FALSE(done);
  CHECK(list_of(world) == "none");
  CHECK((mode_of(world) & S_IRWXG) == 0);
}

TEST_CASE("An attribute that finds no room keeps no access list from its directory") {
  TreeWorld world;
  if (!has_lists(world)) return;
  limit(world, 2);
  RestoreStep step = directory_step();
  step.xattrs["user.large"] = std::string(3 * kBlock, 'x');
  const auto done = world.files().restore(world.request().caller(), {step});
  REQUIRE_FALSE(done);
  CHECK(list_of(world) == closed_to_the_group(1001));
  CHECK(mode_of(world) == 0770);
}

TEST_CASE("A directory that is there stays closed while what was in it comes back") {
  TreeWorld world;
  if (!make_closed(world)) return;
  RestoreStep step = directory_step();
  RestoreCourse course;
  std::size_t seen = 0;
  course.reached = [&](std::size_t) {
    ++seen;
    CHECK(list_of(world) == closed_to_the_group(1001));
  };
  SECTION("it gets the same list") {}
  SECTION("it had another") { step.xattrs[kAccess] = closed_to_the_group(1002); }
  SECTION("it had none") { step.xattrs.clear(); }
  const std::vector<RestoreStep> steps{step, {.path = kTop + "/a", .mode = S_IFREG | 0644}};
  REQUIRE(world.files().restore(world.request().caller(), steps, course));
  CHECK(seen == 2);
  CHECK(list_of(world) == (step.xattrs.empty() ? "none" : step.xattrs[kAccess]));
  CHECK(mode_of(world) == 0770);
  CHECK(world.get(kTop + "/a")->get_xattr(world.request(), kAccess).value_or("none") == "none");
}

}  // namespace
}  // namespace agentfs::test
