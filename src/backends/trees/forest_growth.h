// SPDX-License-Identifier: MIT
// What has been done of a directory that is filled or kept in parts, for it may have very many
// entries and everybody else waits for each part.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "backends/trees/forest_nodes.h"
#include "base/directory.h"

namespace agentfs::trees {

// When a part ends; it has one entry at least.
using Until = std::chrono::steady_clock::time_point;
inline constexpr Until kWhole = Until::max();
inline bool is_over(Until until) {
  return until != kWhole && std::chrono::steady_clock::now() >= until;
}

// Under the store's lock, which others have between two parts. What the directory reads stays what
// it is meanwhile: whoever is about to change that goes on with this first, and ends it.
struct Growth {
  ForestNodeRef directory{};
  TreeNodeRef disk{};                // what it was when this began
  std::vector<HostEntry> entries{};  // of what is read, or kept
  std::size_t done = 0;              // of these
  std::string name{};                // of one that is kept: its name while it is made
  std::uint64_t newest = 0;          // and the snapshot that it is for

  // False: others may go on, and there is more to be done.
  template <class Add>
  Result<bool> go_on(Until until, const Add& add) {
    while (done < entries.size()) {
      TRY(add(entries[done]));
      ++done;
      if (is_over(until)) break;
    }
    return done == entries.size();
  }
};
using Growths = std::map<const ForestNode*, Growth>;

}  // namespace agentfs::trees
