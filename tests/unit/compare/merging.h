// SPDX-License-Identifier: MIT
// Three trees that are merged, with a few files.
#pragma once

#include "compare_fixture.h"

namespace agentfs::test {

namespace fs = std::filesystem;

inline std::string lines(const std::string& name, int changed = -1,
                         const std::string& to = "changed") {
  std::string text;
  for (int line = 0; line < 12; ++line) {
    text += line == changed ? fmt::format("{}\n", to) : fmt::format("{} line {}\n", name, line);
  }
  return text;
}

// base has the files a, b, c and d/e, ours and theirs are forks of it.
class Merging : public ThreeTrees {
 public:
  Merging() {
    for (const char* const name : {"a", "b", "c", "d/e"}) write("base", name, lines(name));
    fork();
  }
  // Ours is as it was, since the merge was refused.
  void check_refused() {
    const auto before = describe(path("ours"), {.for_git = false, .inodes = true});
    const Status merged = merge();
    REQUIRE(!merged);
    CHECK(merged.error().code == EBUSY);
    CHECK(describe(path("ours"), {.for_git = false, .inodes = true}) == before);
  }
  void check_merged() {
    INFO(conflicts());
    const Status merged = merge();
    INFO((merged ? "" : merged.error().message));
    REQUIRE(merged);
    CHECK_FALSE(fs::exists(path("ours", kMergeDirectory)));
  }
  std::string ours(const std::string& below) const { return slurp(path("ours", below)); }
};

}  // namespace agentfs::test
