// SPDX-License-Identifier: MIT
// /proc/self was listed for a user without a process, for whom looking it up was ENOENT.
#include <algorithm>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("What is not found is not listed: /proc/self before the first process") {
  TreeWorld world;
  const auto lists_self = [&] {
    return std::ranges::count(world.items(*world.get("/proc")), "self",
                              &vfs::DirectoryItem::name) == 1;
  };
  CHECK(lists_self());
  world.become(Caller{.kernel = &world.kernel(), .process = {}, .host = {}, .path = {}, .via = {}});
  CHECK(world.find("/proc/self").error().code == ENOENT);
  CHECK_FALSE(lists_self());
  world.become(world.base().person(54'321));
  CHECK(world.find("/proc/self"));
  CHECK(lists_self());
}

}  // namespace
}  // namespace agentfs::test
