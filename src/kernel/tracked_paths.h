// SPDX-License-Identifier: MIT
// Which paths of a workspace its user has told git of.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/repo.h"
#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// The files and links that an index names, sorted by their bytes; a value. Repositories in it are
// none, but may be away.
class TrackedPaths {
 public:
  TrackedPaths() = default;
  // Of the bytes of an index of version 2, 3 or 4 (gitformat-index(5)) with SHA-1 ids. EBADMSG
  // where they are none; ENOTSUP for a split one, which leaves names to another file. A path that
  // leads out of the worktree, which git never writes, is none.
  static Result<TrackedPaths> parse(std::string_view index);
  // By the index of the repository at the root of a tree; none where there is no repository, or it
  // has no index yet. ENOTSUP for one that lies elsewhere.
  static Result<TrackedPaths> read(TreeStore& store, const TreeNode& root);
  // The same; what cannot be read is told in the log, and taken for none.
  static TrackedPaths of(TreeStore& store, const TreeNode& root);

  // What is away where the worktree has it not (away_in()); sorted by path.
  struct Away {
    AwayPath path{};
    bool is_submodule = false;  // and not left out of a sparse checkout
  };
  const std::vector<Away>& away() const { return away_; }
  // At, below or above each of the paths, of which "" stands for all; each once.
  std::vector<Away> away_about(const std::vector<std::string>& paths) const;
  std::vector<std::string> away_unlike(const TrackedPaths& other) const;  // or not there
  std::vector<std::string> away_only_here(const TrackedPaths& other) const;
  bool is_known() const { return is_known_; }  // else of() found what it cannot read

  bool contains(std::string_view path) const;
  bool has_submodule(std::string_view path) const;
  std::vector<std::string> submodules() const;
  std::vector<std::string> submodules_in(std::string_view directory) const;  // or it itself
  std::vector<std::string> below(std::string_view directory) const;
  std::vector<std::string> missing_in(const TrackedPaths& other) const;  // of these

 private:
  std::vector<std::string> paths_;
  std::vector<Away> away_;
  bool is_known_ = true;
};

}  // namespace agentfs
