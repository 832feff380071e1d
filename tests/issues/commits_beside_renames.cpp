// SPDX-License-Identifier: MIT
// A `commit` that waited while its workspace got another name was told that this is not imported.
#include <filesystem>

#include "catch.h"
#include "kernel/imports.h"
#include "support/test_kernel.h"

namespace agentfs::test {

TEST_CASE("A commit of a workspace that has gone meanwhile is refused as one of another time") {
  TestKernel t;
  const auto committed = [&](const char* root) {
    return t.kernel().imports().commit(t.person(), root).error();
  };
  const Error gone = committed("/workspaces/gone");
  CHECK(gone.code == ESTALE);
  CHECK_THAT(gone.message, Catch::Matchers::has("another name by now"));
  std::filesystem::create_directories(t.state() + "/trees/workspaces/plain");
  const Error plain = committed("/workspaces/plain");
  CHECK(plain.code == EINVAL);
  CHECK_THAT(plain.message, Catch::Matchers::has("is not imported"));
}

}  // namespace agentfs::test
