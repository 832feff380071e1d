// SPDX-License-Identifier: MIT
// What a discard makes of the records of merges took a tree for there that another discarded
// meanwhile, and the daemon died of it.
#include <string>
#include <thread>

#include "base/file.h"
#include "catch.h"
#include "kernel/forks.h"
#include "kernel/merges.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

TEST_CASE("Workspaces that are forked, merged and discarded at a time do not disturb each other") {
  TestKernel test;
  Kernel& kernel = test.kernel();
  const Caller caller = test.person();
  const auto work = [&](const std::string& name) {
    const std::string root = "/workspaces/" + name;
    for (int round = 0; round < 100; ++round) {
      const std::string fork = fmt::format("{}-{}", name, round);
      const std::string file = fmt::format("{}/trees/workspaces/{}/", test.state(), fork);
      must(kernel.forks().checkpoint(caller, root, "c"));
      must(kernel.forks().fork(caller, root, fork, std::nullopt));
      must(file::replace(file + fmt::format("f{}", round % 5), fork));
      must(kernel.merges().merge(caller, root, fork, false));
      if (round % 3 == 0) must(kernel.forks().rollback(caller, root, "c"));
      must(kernel.forks().discard(caller, root, fork));
      must(kernel.forks().discard(caller, root, "c"));
      if (round % 3 == 0) must(kernel.forks().discard(caller, root, "undo-1"));
    }
  };
  for (const std::string name : {"one", "other", "third"}) {
    must(file::make_directories(fmt::format("{}/trees/workspaces/{}", test.state(), name)));
  }
  std::thread other(work, "other");
  std::thread third(work, "third");
  work("one");
  other.join();
  third.join();
  CHECK(kernel.merges().conflicts("/workspaces/one") == nullptr);
}

}  // namespace
}  // namespace agentfs::test
