// SPDX-License-Identifier: MIT
// Commits that the daemon makes of a workspace, beside the user's own history: of turns, and of
// checkpoints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace agentfs {

// A file or link of which the repository has the blob already.
struct KnownFile {
  enum class Kind : char { file = 'f', executable = 'x', link = 'l' };

  Kind kind = Kind::file;
  std::string id{};        // of the blob, in hex
  std::uint64_t size = 0;  // of the file: not the blob's where git has changed it on its way
  std::string path{};
};

// Those that git's trees have: of directories, files, links and submodules.
constexpr bool is_tree_mode(std::uint32_t mode) {
  return mode == 040000 || mode == 0100644 || mode == 0100755 || mode == 0120000 || mode == 0160000;
}

// Whether a path, as others have written it, is one in the worktree and in no repository of it.
constexpr bool is_in_worktree(std::string_view path) {
  if (path.contains('\0')) return false;
  for (std::size_t at = 0; at <= path.size();) {
    const std::string_view name = path.substr(at, path.find('/', at) - at);
    if (name.empty() || name == "." || name == ".." || name == ".git") return false;
    at += name.size() + 1;
  }
  return true;
}

// What git's index has of a path that git keeps from the worktree: of a sparse checkout, or the
// commit of a submodule that is not checked out. A partial clone may not have the object.
struct AwayPath {
  std::uint32_t mode = 0;  // as the index has it: 040000 of a directory that is away as a whole
  std::string id{};        // in hex
  std::string path{};

  bool operator==(const AwayPath&) const = default;
};

struct TurnCommit {
  std::string worktree;              // host path of the workspace's plain directory
  std::string git_directory;         // used, and made, where the worktree is no repository
  std::string ref;                   // "refs/agentfs/turns/7"
  std::vector<std::string> changed;  // paths below the worktree; gone ones are removed; a
                                     // directory stands for everything below it, and
                                     // "sub/.git" for the commit of a repository in it
  // Directories of which all is in that the parent has not: the rules may leave out less by now.
  std::vector<std::string> unignored{};
  // Stay as the parent has them: of a turn's, what another commit is to have; of a checkpoint's,
  // what is not in its source.
  std::vector<std::string> left{};
  // Taken for what they are: all that the parent may have otherwise, and all at or below changed
  // paths that are not there.
  std::vector<AwayPath> away{};
  bool asks_index = true;  // git's, what is away; else it is told above
  // Of a turn: what the parent has, and is neither there nor away, is gone.
  bool drops_absent = false;
  // And what git's index has of the worktree, and the parent has not, is in.
  bool adds_tracked = false;
  std::string message;
  std::string author;        // "fixer (pid 7)"
  std::int64_t seconds = 0;  // time of the commit

  // --- of a checkpoint, whose files may have changed since
  // A directory with the changed paths as they were, and the files of rules on the way to them.
  std::string source{};                // "": the worktree
  std::vector<std::string> ignored{};  // of the changed: in where the parent has them, else not
  std::vector<KnownFile> known{};      // of the changed, and not in `source`
  std::string parent{};                // commit that it builds on; "": see commit()
  bool always = false;  // made on HEAD, not on the ref, and also where nothing differs
};

// Threads: all; calls for one repository must not overlap. May block on the disk.
class Repository {
 public:
  virtual ~Repository() = default;
  // Records the changed paths on top of the ref's last commit (first time: on top of HEAD) and
  // moves the ref; returns the commit id, or "" when the tree is what it was. What the user's
  // ignore rules name, and .git itself, is left out. HEAD, index, branches and stash stay as
  // they are. ESTALE: the parent is not in the repository (any more);
  // ENODATA: a blob that is said to be known is not, or may
  // hold something else than the file.
  virtual Result<std::string> commit(const TurnCommit& commit) = 0;
};

}  // namespace agentfs
