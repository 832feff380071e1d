// SPDX-License-Identifier: MIT
// What the trash has, for the tests of what goes there and comes back.
#pragma once

#include <string>
#include <vector>

#include "kernel/history_keeper.h"
#include "support/tree_world.h"

namespace agentfs::test {

// Number, path and mode of each, of the path and what was below it.
inline std::vector<std::string> trash_below(TreeWorld& world, const std::string& path) {
  std::vector<std::string> all;
  world.kernel().look_at_history([&](const History& h) {
    for (const auto& one : h.trashed_at_or_below(path)) {
      all.push_back(fmt::format("{:06} {} {:o}", one->number, one->path, one->mode));
    }
  });
  return all;
}

}  // namespace agentfs::test
