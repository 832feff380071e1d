// SPDX-License-Identifier: MIT
// What git's index says of the paths of a worktree.
#pragma once

#include <functional>
#include <string>

#include "backends/git/library.h"

namespace agentfs::git {

// Read when it is asked. One thread.
class UserIndex {
 public:
  explicit UserIndex(git_repository* repository) : repository_(repository) {}  // borrowed

  // Or a directory, "a/", that is a submodule or has one below it.
  bool is_tracked(const std::string& path);
  bool can_be_read() { return index() != nullptr; }
  // The entry of a path; null where there is none.
  const git_index_entry* find(const std::string& path);
  // And while a merge is not resolved, that of our side.
  const git_index_entry* find_ours(const std::string& path);
  // The same of a file that git has been told not to have in the worktree (skip-worktree, as of a
  // sparse checkout), so that its absence is no change.
  const git_index_entry* find_away(const std::string& path);
  bool has_away_below(const std::string& directory);  // "a/"
  // Those of files and submodules that are not away, nor in conflict; the first failure ends it.
  Status each(const std::function<Status(const git_index_entry&)>& visit);
  // An index that libgit2 cannot read, of a sparse checkout: what is not there may be away.
  bool hides_away();

 private:
  git_index* index();  // null where it cannot be had
  bool has_below(const std::string& directory, bool (*is_meant)(const git_index_entry&));

  git_repository* repository_;
  bool is_read_ = false;  // or was tried
  IndexHandle index_;
  bool is_sparse_ = false;
};

}  // namespace agentfs::git
