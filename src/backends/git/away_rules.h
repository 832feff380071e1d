// SPDX-License-Identifier: MIT
// The .gitignore files that git keeps from the worktree, and reads from its index.
#pragma once

#include <string>

#include "backends/git/library.h"

namespace agentfs::git {

// They count for whoever asks the repository from then on. One thread.
class AwayRules {
 public:
  explicit AwayRules(git_repository* repository) : repository_(repository) {}  // borrowed

  // The blob of that of a directory, "" or "a/b/", after those above it. One that the repository
  // has not, as of a partial clone, says nothing.
  Status add(const std::string& directory, const git_oid& blob);
  bool any() const { return any_; }

 private:
  git_repository* repository_;
  bool any_ = false;
};

// A line of the rules of a directory as one of those at the top; "" for none.
std::string rule_at_top(const std::string& directory, std::string_view line);

}  // namespace agentfs::git
