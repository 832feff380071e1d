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
    for (int round = 0; round < 150; ++round) {
      const std::string fork = fmt::format("{}-{}", name, round);
      must(kernel.forks().fork(caller, "/workspaces/" + name, fork, std::nullopt));
      must(kernel.merges().merge(caller, "/workspaces/" + name, fork, false));
      must(kernel.forks().discard(caller, "/workspaces/" + name, fork));
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
