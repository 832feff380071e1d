// SPDX-License-Identifier: MIT
// The files that the commit of a checkpoint reads: some paths of a state, as plain files.
#pragma once

#include <climits>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/tree_store.h"
#include "base/error.h"
#include "kernel/clean_files.h"
#include "kernel/gitignore.h"
#include "kernel/tracked_paths.h"

namespace agentfs {

// Copies of the paths, and on the way to each the files of rules (.gitignore, .gitattributes) and
// what says which commit a nested repository has. Ignored directories are left out, and of those
// that are copied whole the ignored files, unless a path or git's index names them. Of many files,
// what git has read by its index is named and not copied. One use, one thread; the directory goes
// with this. Errors: the disk's; ENOSPC where the copies would take half of its free room.
class CheckpointStage {
 public:
  // The store is borrowed; `directory` is a host path, made here.
  // `reads_all`: whatever git has.
  static Result<CheckpointStage> make(TreeStore& store, std::string directory, bool reads_all);
  CheckpointStage(CheckpointStage&&) noexcept;
  CheckpointStage& operator=(CheckpointStage&&) = delete;
  ~CheckpointStage();

  // A path below the root ("" is all of it); one that is not there is not copied.
  Status add(const TreeNodeRef& root, const std::string& path);
  // What git's index says otherwise than at `before`, which may be null: of ignored files, that it
  // tracks them; of what is away, what it has of it.
  Status add_tracked(const TreeNodeRef& root, const TreeNodeRef& before);
  // What is away of all that was looked at; the last one.
  Status add_away(const TreeNodeRef& root);
  const std::string& directory() const { return directory_; }
  std::vector<std::string> left() const { return {left_.begin(), left_.end()}; }  // of the root
  // Of what was looked at: what git tracks though it is ignored, or did not get away from the
  // worktree any more; and what is ignored and not tracked.
  std::vector<std::string> tracked() const { return {tracked_.begin(), tracked_.end()}; }
  std::vector<std::string> ignored() const { return {ignored_.begin(), ignored_.end()}; }
  std::vector<KnownFile> take_known() { return std::move(known_); }  // of what would be copied
  bool knows_index() const { return !index_ || index_->is_known(); }
  std::vector<AwayPath> take_away() { return std::move(away_); }

 private:
  struct Place {
    TreeEntry entry{};
    std::string path{};  // below the root, "" or "a/b"
  };
  CheckpointStage(TreeStore& store, std::string directory, std::uint64_t room, bool reads_all)
      : store_(&store), directory_(std::move(directory)), room_(room), reads_all_(reads_all) {}

  std::string host(const std::string& path) const { return directory_ + "/" + path; }
  // A path of the tree may be as long as paths can be, and the copy lies deeper.
  bool fits(const std::string& path) const { return host(path).size() < PATH_MAX; }
  Status leave(const std::string& path);
  // All of an ignored directory but for what is tracked in it.
  Status leave_ignored(const std::string& directory);
  bool is_tracked(const std::string& path);
  Status add_commit(const TreeNodeRef& root, const std::string& submodule);
  void take_repository(const std::string& directory, bool is_ignored);
  const TrackedPaths& index();
  Status leave_closed(Status done, const std::string& path);
  enum class Which { all, ignored };
  Status add_path(const TreeNodeRef& root, const std::string& path, Which which);
  Result<std::optional<TreeEntry>> find(const TreeNode& directory, const std::string& name);
  // A directory on the way, once: itself, its rules and its .git.
  Status enter(const Place& directory);
  Status copy_rules(const Place& directory, const std::string& name);
  Status copy_repository(const Place& git);
  // The repository that a .git file leads to, where that is in the tree, as a submodule's is.
  Status copy_linked(const Place& git);
  Status copy_whole(const Place& place, bool honours_rules);
  Status take_leaf(const Place& place);  // or names what is known of it
  Status copy_leaf(const Place& place);
  Status copy_file(const Place& place);

  TreeStore* store_;
  std::string directory_;  // "" once moved from
  std::uint64_t room_;     // bytes that may still be copied
  bool reads_all_;
  std::size_t leaves_ = 0;
  TreeNodeRef root_{};  // of what is being added
  GitIgnore rules_;
  std::set<std::string> entered_;
  std::set<std::string> left_;
  std::set<std::string> tracked_;
  std::set<std::string> ignored_;
  std::optional<TrackedPaths> index_;  // read when it is asked
  std::optional<CleanFiles> clean_;    // the same
  std::vector<KnownFile> known_;
  std::vector<AwayPath> away_;
  std::set<std::string> absent_;  // of what was looked at: it may be away, or something below it
};

}  // namespace agentfs
