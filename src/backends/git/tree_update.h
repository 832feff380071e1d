// SPDX-License-Identifier: MIT
// Makes the tree of a turn: the base tree with the changed paths as they lie in the worktree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/git/changes.h"
#include "backends/git/objects.h"

namespace agentfs::git {

// One use, one thread. Only directories with changes in them are read and written.
class TreeUpdate {
 public:
  // All are borrowed. The repository's work directory must be set to `worktree`. Whether that is
  // the user's, where their rules say what is left out, and their index what is in all the same;
  // else the changes say it.
  TreeUpdate(git_repository* repository, ObjectWriter& objects, const Owner& owner, bool is_theirs)
      : repository_(repository), objects_(objects), owner_(owner), is_theirs_(is_theirs) {}

  // Id of the new tree; nothing where it is empty. `base` may be null.
  Result<std::optional<git_oid>> run(const std::string& worktree, const git_tree* base,
                                     const Change& changes);

 private:
  struct Directory {
    int fd = -1;
    std::string path;  // below the worktree: "" or "a/b/"
    git_treebuilder* builder = nullptr;
    mode_t readers = Owner::kAllReaders;  // who gets there from the worktree
  };
  struct Entry {
    std::string name;
    Kind kind = Kind::none;                // what lies there now
    const git_tree_entry* base = nullptr;  // what the base tree has; borrowed from its builder
  };

  Result<std::optional<git_oid>> directory(const Directory& in, const git_tree* base,
                                           const Change& changes);
  Status entry(const Directory& in, const Entry& entry, const Change& change);
  Status leaf(const Directory& in, const Entry& entry);
  Status known(const Directory& in, const std::string& name, const KnownFile& file);
  Status subdirectory(const Directory& in, const Entry& entry, const Change& change);
  Status descend(const Directory& in, const Entry& entry, const Change& change);
  // For an error in reading the worktree: where the entry cannot be read, the base's stays.
  Status leave(const Directory& in, const std::string& name, const Error& error) const;
  Result<bool> is_left_out(const Directory& in, const Entry& entry, const Change& change);
  // The commit of a repository in that directory; nothing where there is none, or it has no commit.
  Result<std::optional<git_oid>> nested_commit(const std::string& path, bool& nested) const;
  Status insert(const Directory& in, const std::string& name, const git_oid& id,
                git_filemode_t mode);
  Status remove(const Directory& in, const Entry& entry);
  // Whether git has been told that a file is not to be in the worktree (skip-worktree, as of a
  // sparse checkout), so that its absence is no change; of a directory, "a/", that one below it is
  // not.
  bool is_kept_away(const std::string& path);
  bool is_tracked(const std::string& path);  // or a directory, "a/", with one below it
  // The user's, read when it is asked; null where it cannot be had.
  git_index* index();
  bool has_below(const std::string& directory, bool (*is_meant)(const git_index_entry&));

  git_repository* repository_;
  ObjectWriter& objects_;
  const Owner& owner_;
  const bool is_theirs_;
  std::string worktree_;
  int top_ = -1;
  bool has_index_ = false;  // or has looked for it
  IndexHandle index_;       // null: it cannot be had
  bool is_sparse_ = false;
};

}  // namespace agentfs::git
