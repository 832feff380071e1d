// SPDX-License-Identifier: MIT
// The changed paths of a turn as a tree of names.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backends/repo.h"
#include "base/error.h"

namespace agentfs::git {

// A name with changes below it; where `whole`, it is itself named as changed, with everything
// below it but for what is `left` there.
struct Change {
  bool whole = false;
  bool left = false;                 // stays as it was, but for what is named below it
  bool unignored = false;            // all in it that the base has not
  bool ignored = false;              // in where the base has it, else not
  const KnownFile* known = nullptr;  // what it is, without a look; borrowed from the commit
  const AwayPath* away = nullptr;    // the same
  bool has_away = false;             // something below it is
  std::map<std::string, Change> below{};
};

// Root of the changes that a commit names, which must live as long. "" and "." are the whole
// worktree; slashes at the ends and doubled ones do not matter; "a/.git" names the commit that the
// repository in a has, and all other paths through a ".git" are left out. EINVAL for one with ".."
// or a NUL byte.
Result<Change> changes_of(const TurnCommit& commit);
// One more such path, unless it or what it lies in is named for all in it, left, or away.
void name_path(Change& root, const std::string& path);

}  // namespace agentfs::git
