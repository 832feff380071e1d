// SPDX-License-Identifier: MIT
// Makes the tree of a turn: the base tree with the changed paths as they lie in the worktree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/git/away_rules.h"
#include "backends/git/changes.h"
#include "backends/git/objects.h"
#include "backends/git/odd_rules.h"
#include "backends/git/user_index.h"

namespace agentfs::git {

// One use, one thread. Only directories with changes in them are read and written.
class TreeUpdate {
 public:
  // Of the worktree that is read.
  struct Worktree {
    bool is_theirs = true;   // the user's: their rules say what is left out, and their index what
                             // is in all the same; else the changes say it
    bool asks_index = true;  // what is away; else the changes say it
  };
  // All are borrowed. The repository's work directory must be set to the worktree.
  TreeUpdate(git_repository* repository, ObjectWriter& objects, UserIndex& index,
             const Owner& owner, Worktree worktree)
      : repository_(repository),
        objects_(objects),
        owner_(owner),
        is_theirs_(worktree.is_theirs),
        asks_index_(worktree.asks_index),
        index_(index),
        away_rules_(repository) {}

  // Id of the new tree; nothing where it is empty. `base` may be null.
  Result<std::optional<git_oid>> run(const std::string& worktree, const git_tree* base,
                                     const Change& changes);

 private:
  struct Directory {
    int fd = -1;
    std::string path;  // below the worktree: "" or "a/b/"
    git_treebuilder* builder = nullptr;
    mode_t readers = Owner::kAllReaders;  // who gets there from the worktree
    bool is_away = false;                 // what is not there is so without being told
    OddRules odd{};
  };
  struct Entry {
    std::string name;
    Kind kind = Kind::none;                // what lies there now
    const git_tree_entry* base = nullptr;  // what the base tree has; borrowed from its builder
  };

  Result<std::optional<git_oid>> directory(const Directory& in, const git_tree* base,
                                           const Change& changes);
  // The rules of a directory that git keeps away from it.
  Status add_away_rules(const Directory& in, const git_tree* base, const Change& changes);
  Status entry(const Directory& in, const Entry& entry, const Change& change);
  Status leaf(const Directory& in, const Entry& entry);
  Status known(const Directory& in, const std::string& name, const KnownFile& file);
  Status subdirectory(const Directory& in, const Entry& entry, const Change& change);
  Status descend(const Directory& in, const Entry& entry, const Change& change);
  // For an error in reading the worktree: where the entry cannot be read, the base's stays.
  Status leave(const Directory& in, const std::string& name, const Error& error) const;
  bool may_be_left_out(const Entry& entry) const;
  Status keep_base(const Directory& in, const Entry& entry);
  Result<bool> is_left_out(const Directory& in, const Entry& entry, const Change& change);
  // The commit of a repository in that directory; nothing where there is none, or it has no commit.
  Result<std::optional<git_oid>> nested_commit(const std::string& path, bool& nested) const;
  Status insert(const Directory& in, const std::string& name, const git_oid& id,
                git_filemode_t mode);
  Status remove(const Directory& in, const Entry& entry, const Change& change);
  // The tree of a directory that is not there; nothing where all in it is gone.
  Result<std::optional<git_oid>> what_is_away(const Directory& in, const std::string& path,
                                              const git_tree* base, const Change& change);
  bool hides_away() { return asks_index_ && index_.hides_away(); }
  Status away(const Directory& in, const std::string& name, const AwayPath& path);
  // The directory of a submodule that is not checked out: the index has its commit.
  Status uninhabited(const Directory& in, const Entry& entry);

  git_repository* repository_;
  ObjectWriter& objects_;
  const Owner& owner_;
  const bool is_theirs_;
  const bool asks_index_;
  bool lacks_objects_ = false;  // as was told
  std::string worktree_;
  int top_ = -1;
  UserIndex& index_;
  AwayRules away_rules_;
};

}  // namespace agentfs::git
