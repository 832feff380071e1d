// SPDX-License-Identifier: MIT
// A placeholder row, /proc's <pid>, stood for a directory of that name, so that neither /proc/1 nor
// what stands beside it was found.
#include <algorithm>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("Objects stand beside the rows of their directory, and both are found") {
  TreeWorld world;
  const vfs::NodeRef proc = world.get("/proc");
  for (const char* name : {"README", "_all.jsonl", "clone", "self", "1"}) {
    INFO(name);
    CHECK(proc->lookup(world.request(), name));
    CHECK(std::ranges::count(world.items(*proc), name, &vfs::DirectoryItem::name) == 1);
  }
  CHECK(world.read("/proc/1/name") == world.read(world.path_of(world.init, "name")));
  CHECK(proc->lookup(world.request(), "<pid>").error().code == ENOENT);
  CHECK(proc->lookup(world.request(), "01").error().code == ENOENT);
  const std::string calls = world.path_of(world.busy, "calls");
  CHECK(world.find(calls + "/1/tool"));
  CHECK(world.find(calls + "/_all.jsonl"));
  CHECK(world.find(calls + "/<n>").error().code == ENOENT);
}

}  // namespace
}  // namespace agentfs::test
