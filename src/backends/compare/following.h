// SPDX-License-Identifier: MIT
// What ours has put into a directory that theirs has renamed goes along.
#pragma once

#include <string>
#include <vector>

#include "backends/compare/decide.h"

namespace agentfs::compare {

struct Following {
  const std::vector<PathChange>& ours_changes;
  const DirectoryRenames& theirs_renamed;
  std::vector<MergeAction*> actions;  // what is decided about theirs' changes; those of a file that
                                      // ours has moved there get its new place
};

struct Follower {
  const PathChange* change = nullptr;  // of ours
  const DirectoryRename* along = nullptr;
  MergeAction action{};  // a move; of a directory with all in it
};

struct Followers {
  std::vector<Follower> moves{};
  std::vector<std::string> left{};  // directories of ours of which theirs has one there, too
};

// A name that theirs has there, too, stays where ours has it; so does a new directory in which
// something else is merged.
Result<Followers> find_followers(const Following& all, Decider& decider);

}  // namespace agentfs::compare
