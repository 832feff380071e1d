// SPDX-License-Identifier: MIT
// A rename of a file onto itself beside a restore of it kept as a version what went on being
// written: the host's kernel, which does nothing there, had seen two files under the one name.
#include <sys/stat.h>

#include "catch.h"
#include "kernel/fold.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("A rename onto a name of the same file changes nothing and is told by nobody") {
  TreeWorld world;
  const auto site = world.get("/workspaces/site");
  const auto other = world.get("/workspaces/site");
  const auto made = site->create(world.request(), "a", O_CREAT | O_WRONLY, 0644);
  REQUIRE(made);
  made->opened.handle->release();
  REQUIRE(site->link(world.request(), *made->found.node, "b"));
  const auto applied = [&] {
    std::uint64_t sequence = 0;
    world.kernel().look_at_fold([&](const Fold& fold) { sequence = fold.applied().value; });
    return sequence;
  };
  const auto before = applied();
  const auto rename = [&](const char* from, const char* to, unsigned flags = 0) {
    const Status renamed = site->rename(world.request(), from, *other, to, flags);
    return renamed ? 0 : renamed.error().code;
  };
  CHECK(rename("a", "a") == 0);
  CHECK(rename("a", "b") == 0);
  CHECK(rename("a", "a", RENAME_EXCHANGE) == 0);
  CHECK(rename("a", "b", RENAME_EXCHANGE) == 0);
  CHECK(rename("a", "a", RENAME_NOREPLACE) == EEXIST);
  CHECK(rename("nothing", "nothing") == ENOENT);
  CHECK(applied() == before);
  const auto found = site->lookup(world.request(), "b");
  REQUIRE(found);
  CHECK(found->attributes.st_nlink == 2);
}

}  // namespace
}  // namespace agentfs::test
