// SPDX-License-Identifier: MIT
#include "base/mutex.h"

#if defined(AGENTFS_CHECK_LOCK_RANKS)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace agentfs::detail {
namespace {
thread_local std::vector<Rank> held;
}

void rank_taken(Rank rank) {
  const auto worst = std::ranges::max_element(held);
  if (worst != held.end() && *worst >= rank) {
    std::fprintf(stderr, "lock order: rank %d taken while rank %d is held\n",
                 static_cast<int>(rank), static_cast<int>(*worst));
    std::abort();
  }
  held.push_back(rank);
}

void rank_released(Rank rank) {
  const auto place = std::ranges::find(held, rank);
  if (place != held.end()) held.erase(place);
}

}  // namespace agentfs::detail
#endif
