// SPDX-License-Identifier: MIT
// One version of a time when the clock was ahead kept all others from going by their age.
#include "catch.h"
#include "kernel/history.h"
#include "kernel/history_keeper.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

constexpr std::int64_t kDay = std::int64_t{86'400} * 1'000'000'000;

}  // namespace

TEST_CASE("what is old goes though the clock was once ahead") {
  TestKernel t;
  const auto removed = [&](std::uint64_t number) {
    const json::Value kept =
        json::Object{{"number", number}, {"type", "empty"}, {"size", 0}, {"mode", 0644}};
    const std::string path = fmt::format("/workspaces/site/{}", number);
    must(t.commit("tree.remove", json::Object{{"path", path}, {"kept", kept}}));
  };
  t.clock.advance(300 * kDay);
  removed(1);
  t.clock.advance(-300 * kDay);
  removed(2);
  t.clock.advance(31 * kDay);
  (void)must(t.kernel().history().empty());  // the kernel itself may have been the first to do it
  t.kernel().look_at_history([](const History& history) {
    CHECK(history.find(1) != nullptr);
    CHECK(history.find(2) == nullptr);
  });
}

}  // namespace agentfs::test
