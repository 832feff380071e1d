// SPDX-License-Identifier: MIT
#include "backends/git/user_index.h"

#include <string_view>
#include <utility>

namespace agentfs::git {
namespace {

bool is_sparse(git_repository* repository) {
  git_config* raw = nullptr;
  if (git_repository_config(&raw, repository) != 0) return false;
  const ConfigHandle config(raw);
  // git writes it where libgit2 does not look.
  const std::string own = std::string(git_repository_path(repository)) + "config.worktree";
  git_config_add_file_ondisk(raw, own.c_str(), GIT_CONFIG_LEVEL_APP, repository, 0);
  int is_set = 0;
  return git_config_get_bool(&is_set, raw, "core.sparseCheckout") == 0 && is_set != 0;
}

bool is_away(const git_index_entry& entry) {
  return (entry.flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE) != 0;
}

bool is_any(const git_index_entry&) { return true; }

}  // namespace

// The repository is opened without it.
git_index* UserIndex::index() {
  if (std::exchange(is_read_, true)) return index_.get();
  git_index* index = nullptr;
  const std::string place = std::string(git_repository_path(repository_)) + "index";
  if (git_index_open(&index, place.c_str()) == 0) index_.reset(index);
  if (index_ == nullptr) is_sparse_ = is_sparse(repository_);
  return index_.get();
}

const git_index_entry* UserIndex::find(const std::string& path) {
  return index() == nullptr ? nullptr : git_index_get_bypath(index(), path.c_str(), 0);
}

const git_index_entry* UserIndex::find_ours(const std::string& path) {
  constexpr int kOurs = 2;
  const git_index_entry* const entry = find(path);
  const bool may_be = entry == nullptr && index() != nullptr;
  return may_be ? git_index_get_bypath(index(), path.c_str(), kOurs) : entry;
}

const git_index_entry* UserIndex::find_away(const std::string& path) {
  const git_index_entry* const entry = find(path);
  return entry != nullptr && is_away(*entry) ? entry : nullptr;
}

bool UserIndex::is_tracked(const std::string& path) {
  if (!path.ends_with('/')) return find(path) != nullptr;
  const git_index_entry* const itself = find(path.substr(0, path.size() - 1));
  return (itself != nullptr && itself->mode == GIT_FILEMODE_COMMIT) || has_below(path, is_any);
}

bool UserIndex::has_away_below(const std::string& directory) {
  return has_below(directory, is_away);
}

Status UserIndex::each(const std::function<Status(const git_index_entry&)>& visit) {
  const std::size_t count = index() == nullptr ? 0 : git_index_entrycount(index());
  for (std::size_t at = 0; at < count; ++at) {
    const git_index_entry& entry = *git_index_get_byindex(index(), at);
    const bool is_whole = git_index_entry_stage(&entry) == 0 && entry.mode != GIT_FILEMODE_TREE;
    if (is_whole && !is_away(entry)) TRY(visit(entry));
  }
  return ok();
}

bool UserIndex::hides_away() { return index() == nullptr && is_sparse_; }

bool UserIndex::has_below(const std::string& directory, bool (*is_meant)(const git_index_entry&)) {
  std::size_t at = 0;
  if (index() == nullptr || git_index_find_prefix(&at, index(), directory.c_str()) != 0) {
    return false;
  }
  for (;; ++at) {
    const git_index_entry* const entry = git_index_get_byindex(index(), at);
    if (entry == nullptr || !std::string_view(entry->path).starts_with(directory)) return false;
    if (is_meant(*entry)) return true;
  }
}

}  // namespace agentfs::git
