// SPDX-License-Identifier: MIT
// A failed tool call that wrote a control file or a document stood in /proc/<pid>/errors twice.
#include "catch.h"
#include "kernel/error_log.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/gate.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

TEST_CASE("A failed call of a tool is one line of the agent's errors") {
  TreeWorld world;
  const Caller agent = world.kernel().agent(world.idle, "call:7");
  const auto told = [&] { return world.kernel().errors().text(world.idle); };
  const auto count = [&] { return text::lines(told()).size(); };
  REQUIRE(count() == 0);

  const Answer<std::string> answer;
  agent.start(sys::Ctl{world.path_of(world.idle, "ctl"), "frobnicate"}, answer.completion());
  CHECK(answer.wait().error().code == EINVAL);
  CHECK(count() == 1);
  CHECK_THAT(told(), has("call:7") && has("frobnicate"));

  CHECK_FALSE(agent.call(fs::Write{"/etc/models/x.toml", "driver = \"script\"\n"}));
  CHECK(count() == 2);
  CHECK_FALSE(agent.call(fs::Write{"/etc/agentfs.toml", ""}));
  CHECK(count() == 3);
  CHECK_FALSE(agent.call(fs::Read{"/proc/none"}));
  CHECK(count() == 4);
}

}  // namespace
}  // namespace agentfs::test
