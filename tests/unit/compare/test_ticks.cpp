// SPDX-License-Identifier: MIT
// Writes that leave a file with the times that it had: on disks whose times go by the tick, before
// Linux 6.13 on all (with TMPDIR on ext3 also since).
#include <fcntl.h>

#include "base/file.h"
#include "merging.h"

namespace agentfs::test {

TEST_CASE("What is written to a text once it was read for a merge stops the merge") {
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds; ++round) {
    Merging trees;
    trees.write("ours", "a", lines("a", 0));
    trees.write("theirs", "a", lines("a", 11));
    const MergeSides sides = trees.sides();
    const UniqueFd file(::open(trees.path("ours", "a").c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(::pwrite(file.get(), "before", 6, 0) == 6);
    const MergePlan plan = must(trees.merger->plan(sides, {}));
    const auto record = must(trees.merger->stage(sides, plan, {.durable = false}));
    REQUIRE(::pwrite(file.get(), "beside", 6, 0) == 6);
    const Status applied = trees.merger->apply(sides.ours, record, {});
    REQUIRE_FALSE(applied);
    CHECK(applied.error().code == ESTALE);
    CHECK(trees.ours("a").starts_with("beside"));
  }
}

}  // namespace agentfs::test
