// SPDX-License-Identifier: MIT
#include "backends/git/forced_paths.h"

#include <map>

#include "backends/git/dot_git.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

// A tree, whose directories are read once.
class Paths {
 public:
  Paths(git_repository* repository, const git_tree* tree) : repository_(repository), top_(tree) {}

  Result<bool> has(std::string_view path) { return TRY(entry_of(path)) != nullptr; }

 private:
  Result<const git_tree_entry*> entry_of(std::string_view path) {
    const git_tree* const tree = TRY(directory(std::string(text::parent_part(path))));
    if (tree == nullptr) return nullptr;
    return git_tree_entry_byname(tree, std::string(text::last_part(path)).c_str());
  }
  Result<const git_tree*> directory(const std::string& path) {
    if (path.empty()) return top_;
    const auto known = directories_.find(path);
    if (known != directories_.end()) return known->second.get();
    TreeHandle tree = TRY(tree_of(repository_, TRY(entry_of(path))));
    return directories_.emplace(path, std::move(tree)).first->second.get();
  }

  git_repository* repository_;
  const git_tree* top_;
  std::map<std::string, TreeHandle> directories_;
};

}  // namespace

Status add_forced_paths(git_repository* repository, const git_tree* tree,
                        const std::string& worktree, UserIndex& index, Change& changes) {
  Paths paths(repository, tree);
  return index.each([&](const git_index_entry& entry) -> Status {
    const std::string path = entry.path;
    if (!is_in_worktree(path) || TRY(paths.has(path))) return ok();
    // A submodule that is not checked out is told with what is away.
    const bool is_submodule = entry.mode == GIT_FILEMODE_COMMIT;
    if (!is_submodule || has_git_in(worktree + "/" + path)) name_path(changes, path);
    return ok();
  });
}

}  // namespace agentfs::git
