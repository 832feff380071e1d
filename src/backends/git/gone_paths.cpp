// SPDX-License-Identifier: MIT
#include "backends/git/gone_paths.h"

#include <fcntl.h>

#include <set>

#include "backends/git/worktree.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

constexpr const char* kGit = ".git";

class Search {
 public:
  explicit Search(git_repository* repository) : repository_(repository) {}

  Status look(const UniqueFd& directory, const git_tree* tree, Change& changes) {
    const auto there = TRY(names_in(directory.get()));
    const std::set<std::string> names(there.begin(), there.end());
    for (std::size_t at = 0; at < git_tree_entrycount(tree); ++at) {
      const git_tree_entry* const entry = git_tree_entry_byindex(tree, at);
      const std::string name = git_tree_entry_name(entry);
      const auto found = changes.below.find(name);
      Change change = found == changes.below.end() ? Change{} : found->second;
      if (change.left || change.away != nullptr || change.whole) continue;
      if (names.contains(name)) {
        TRY(look_at(directory, entry, name, change));
      } else {
        change.whole = true;
      }
      if (change.whole || !change.below.empty()) changes.below[name] = std::move(change);
    }
    return ok();
  }

 private:
  Status look_at(const UniqueFd& above, const git_tree_entry* entry, const std::string& name,
                 Change& change) {
    const bool is_file = git_tree_entry_type(entry) == GIT_OBJECT_BLOB;
    const auto directory = is_file ? fail(ENOTDIR, "{}", name) : open_directory(above.get(), name);
    if (!directory) return ok();  // something else is there, which was noted as it came
    if (git_tree_entry_type(entry) == GIT_OBJECT_COMMIT) {
      change.whole = TRY(names_in(directory->get())).empty();
      return ok();
    }
    if (::faccessat(directory->get(), kGit, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return ok();
    git_tree* raw = nullptr;
    TRY(check(git_tree_lookup(&raw, repository_, git_tree_entry_id(entry)), text::shown(name)));
    const TreeHandle tree(raw);
    return look(*directory, raw, change);
  }

  git_repository* repository_;
};

}  // namespace

Status add_gone_paths(git_repository* repository, const git_tree* tree, const std::string& worktree,
                      Change& changes) {
  const UniqueFd top(::open(worktree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail_errno(worktree);
  return Search(repository).look(top, tree, changes);
}

}  // namespace agentfs::git
