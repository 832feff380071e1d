// SPDX-License-Identifier: MIT
// What a rollback has changed is announced a moment after it. Where the tree had gone by then, what
// was told was gone, too: a test that ended right after a rollback died of it on a busy machine.
#include <atomic>
#include <latch>

#include "base/file.h"
#include "catch.h"
#include "kernel/forks.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

TEST_CASE("What a rollback has changed is not announced to a tree that has gone") {
  TestKernel t;
  const std::string root = "/workspaces/site";
  const std::string file = t.state() + "/trees" + root + "/f";
  Forks forks = t.kernel().forks();
  must(forks.checkpoint(t.person(), root, "c"));
  must(file::replace(file, "x"));
  std::atomic<bool> has_gone = false;
  std::atomic<int> late = 0;
  t.paths.on_refresh = [&](const std::vector<TreeEvent>&) { late += has_gone ? 1 : 0; };
  must(forks.rollback(t.person(), root, "c"));
  t.kernel().set_namespace(nullptr);
  has_gone = true;
  std::latch behind(1);
  t.kernel().do_behind_answer([&] { behind.count_down(); });
  behind.wait();
  t.finish_work();
  CHECK(late == 0);
}

}  // namespace
}  // namespace agentfs::test
