// SPDX-License-Identifier: MIT
#include "backends/git/gone_paths.h"

#include <fcntl.h>

#include <set>

#include "backends/git/dot_git.h"
#include "backends/git/worktree.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

class Search {
 public:
  explicit Search(git_repository* repository) : repository_(repository) {}

  Status look(const std::string& place, int directory, const git_tree* tree, Change& changes) {
    const auto there = TRY(names_in(directory));
    const std::set<std::string> names(there.begin(), there.end());
    for (std::size_t at = 0; at < git_tree_entrycount(tree); ++at) {
      const git_tree_entry* const entry = git_tree_entry_byindex(tree, at);
      const std::string name = git_tree_entry_name(entry);
      const auto [noted, is_new] = changes.below.try_emplace(name);
      Change& change = noted->second;
      if (change.left || change.away != nullptr || change.whole) continue;
      if (!names.contains(name)) {
        change.whole = true;
      } else if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB) {
        TRY(look_in(place + "/" + name, open_directory(directory, name), entry, change));
      }
      if (is_new && !change.whole && change.below.empty()) changes.below.erase(noted);
    }
    return ok();
  }

 private:
  Status look_in(const std::string& place, const Result<UniqueFd>& directory,
                 const git_tree_entry* entry, Change& change) {
    if (!directory) return ok();  // something else is there, which was noted as it came
    if (git_tree_entry_type(entry) == GIT_OBJECT_COMMIT) {
      change.whole = TRY(names_in(directory->get())).empty();
      return ok();
    }
    if (has_git_in(place)) return ok();
    const TreeHandle tree = TRY(tree_of(repository_, entry));
    return look(place, directory->get(), tree.get(), change);
  }

  git_repository* repository_;
};

}  // namespace

Status add_gone_paths(git_repository* repository, const git_tree* tree, const std::string& worktree,
                      Change& changes) {
  const UniqueFd top(::open(worktree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail_errno(worktree);
  return Search(repository).look(worktree, top.get(), tree, changes);
}

}  // namespace agentfs::git
