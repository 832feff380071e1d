// SPDX-License-Identifier: MIT
// What ours has put into a directory that theirs has renamed goes along.
#pragma once

#include <string>
#include <utility>
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
  // New directories that go one name at a time, since theirs has one there, too, or changes
  // something in them: where ours has each, and where its names go.
  std::vector<std::pair<std::string, std::string>> left{};
};

// A name that theirs has there, too, stays where ours has it.
Result<Followers> find_followers(const Following& all, Decider& decider);

}  // namespace agentfs::compare
