// SPDX-License-Identifier: MIT
// Plain texts under /etc took NUL bytes, and those of context.d answered EINVAL, which mv misreads.
#include <string>

#include "catch.h"
#include "kernel/configuration.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using namespace std::string_literals;

TEST_CASE("A text with a NUL is no document, wherever it is saved") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d/rules.md");
  CHECK(world.write(path, "a\0b\n"s) == EBADMSG);
  CHECK(world.read(path) == "Be brief.\n");
  const Configuration& configuration = world.kernel().configuration();
  for (const char* name : {"motd", "profiles/x/context.d/a.md", "models/x.toml", "agentfs.toml"}) {
    INFO(name);
    const Status checked = configuration.check(name, "a = 1\0\n"s);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == EBADMSG);
  }
}

}  // namespace
}  // namespace agentfs::test
