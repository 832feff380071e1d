// SPDX-License-Identifier: MIT
// The tool delete with the path "." removed the whole workspace, its .git and refs included.
#include <unistd.h>

#include "base/file.h"
#include "catch.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/gate.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

TEST_CASE("A tool deletes what is in a workspace or home, but neither of them") {
  TreeWorld world;
  const std::string host = world.base().state() + "/trees";
  REQUIRE(file::make_directories(host + "/workspaces/site/.git/refs"));
  REQUIRE(::symlink("..", (host + "/workspaces/site/up").c_str()) == 0);
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  const std::string home = "/home/" + world.base().process(pid)->user;
  REQUIRE(file::make_directories(host + home));
  for (const std::string& path :
       {std::string("."), std::string("/workspaces/site"), std::string("/workspaces/site/"),
        std::string("./.git/.."), std::string("../site"), std::string("up/site"), home,
        home + "/."}) {
    INFO(path);
    const auto deleted = agent.call(agentfs::fs::Delete{path});
    REQUIRE_FALSE(deleted);
    CHECK(deleted.error().code == EPERM);
    CHECK_THAT(deleted.error().message, has("in it would do"));
    CHECK(file::exists(host + "/workspaces/site/.git/refs"));
    CHECK(file::exists(host + home));
  }
  CHECK(agent.call(agentfs::fs::Delete{"up"}));
  CHECK(agent.call(agentfs::fs::Delete{".git"}));
  CHECK_FALSE(file::exists(host + "/workspaces/site/.git"));
}

}  // namespace
}  // namespace agentfs::test
