// SPDX-License-Identifier: MIT
#include "backends/git/library.h"

#include "backends/git/inflate.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

// libgit2 keeps the system's errno only in words; the variable still tells the few that matter.
int system_errno(int seen) {
  switch (seen) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EACCES:
    case EPERM:
    case EMFILE:
    case ENOMEM:
    case ENOENT:
    case ENOTDIR:
      return seen;
    default:
      return EIO;
  }
}

int errno_of(int result, int category, int seen) {
  switch (result) {
    case GIT_ELOCKED:
      return EBUSY;
    case GIT_EMODIFIED:
    case GIT_EEXISTS:
      return ESTALE;
    case GIT_EINVALIDSPEC:
      return EINVAL;
    default:
      return category == GIT_ERROR_OS ? system_errno(seen) : EBADMSG;
  }
}

}  // namespace

Library::Library() {
  end_starved_streams();
  if (git_libgit2_init() < 0) return;
  ready_ = true;
  // Workspaces belong to whoever's they are; what an owner may do here the kernel has decided.
  git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
  // What of a tree is not made here is looked for by who names it; a partial clone has it not.
  git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 0);
  for (const int level : {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                          GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL}) {
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
  }
  // What is said of a worktree alone, as `git clone --sparse` has it, is asked where it counts.
  const char* extension = "worktreeconfig";
  git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, &extension, 1);
  // Windows of 1 GiB, as by default, are all that the process of a commit may have.
  git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, std::size_t{32} << 20);
  git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, std::size_t{256} << 20);
}

Library::~Library() {
  if (ready_) git_libgit2_shutdown();
}

Result<TreeHandle> tree_of(git_repository* repository, const git_tree_entry* entry) {
  if (entry == nullptr || git_tree_entry_type(entry) != GIT_OBJECT_TREE) return TreeHandle();
  git_tree* tree = nullptr;
  TRY(check(git_tree_lookup(&tree, repository, git_tree_entry_id(entry)),
            text::shown(git_tree_entry_name(entry))));
  return TreeHandle(tree);
}

std::unexpected<Error> failure(int result, std::string_view object) {
  const int seen = errno;
  const git_error* const last = git_error_last();
  const int category = last != nullptr ? last->klass : 0;
  return fail(errno_of(result, category, seen), "{}: {}", object,
              last != nullptr ? last->message : "libgit2 gave no reason");
}

}  // namespace agentfs::git
