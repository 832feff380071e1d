// SPDX-License-Identifier: MIT
#include "kernel/commit_changes.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "kernel/submodules.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

using Paths = std::set<std::string>;

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : fmt::format("{}/{}", directory, name);
}

// With no link where it leads to nothing, or to nothing that the daemon may see.
Result<struct stat> look(TreeStore& store, const TreeNodeRef& root, const std::string& path) {
  const auto found = find_in_tree(store, root, path);
  if (found) return found->attributes;
  constexpr auto kNothing = std::to_array({ENOENT, ENOTDIR, ENAMETOOLONG, EACCES});
  if (std::ranges::find(kNothing, found.error().code) != kNothing.end())
    return Result<struct stat>();
  return std::unexpected(found.error());
}

// An empty one stands for a submodule that is not checked out.
Result<bool> has_names(TreeStore& store, const TreeNodeRef& root, const std::string& directory) {
  const auto found = find_in_tree(store, root, directory);
  if (!found || found->node->type() != S_IFDIR) return false;
  const auto names = names_in(store, *found->node);
  return names && !names->empty();
}

bool has_others(const struct stat& file) { return S_ISREG(file.st_mode) && file.st_nlink > 1; }

// The other names of files, by how many are not known yet.
class Names {
 public:
  Names(TreeStore& store, Paths& all) : store_(store), all_(all) {}

  void miss(const struct stat& file) {
    const auto [at, is_new] = missing_.try_emplace(file.st_ino, file.st_nlink);
    if (--at->second == 0) missing_.erase(at);
  }

  Status find(const TreeNodeRef& root) {
    std::vector<std::pair<TreeNodeRef, std::string>> left{{root, ""}};
    while (!left.empty() && !missing_.empty()) {
      const auto [directory, path] = std::move(left.back());
      left.pop_back();
      std::vector<std::string> below;
      const auto opened = store_.open_directory(*directory);
      if (!opened && opened.error().code == EACCES) continue;
      if (!opened) return std::unexpected(opened.error());
      TRY(store_.read_directory(**opened, 0, [&](const TreeStore::DirectoryEntry& entry) {
        if (entry.name == "." || entry.name == ".." || entry.name == ".git") return true;
        if (entry.type == S_IFDIR) below.push_back(entry.name);
        if (entry.type == S_IFREG) note(entry.inode, join(path, entry.name));
        return true;
      }));
      for (const std::string& name : below) {
        const auto entry = store_.lookup(*directory, name);
        if (entry) left.emplace_back(entry->node, join(path, name));  // else gone meanwhile
      }
    }
    return ok();
  }

 private:
  void note(ino_t inode, std::string path) {
    const auto at = missing_.find(inode);
    if (at == missing_.end() || !all_.insert(std::move(path)).second) return;
    if (--at->second == 0) missing_.erase(at);
  }

  TreeStore& store_;
  Paths& all_;
  std::map<ino_t, nlink_t> missing_;
};

}  // namespace

Status complete_changes(TreeStore& store, const TreeNodeRef& root, const TreeNodeRef& before,
                        std::vector<std::string>& changed) {
  Paths all(changed.begin(), changed.end());
  Names names(store, all);
  Names names_before(store, all);
  Paths whole;
  for (const std::string& path : all) {
    const std::string_view name = text::last_part(path);
    const struct stat now = TRY(look(store, root, path));
    const bool is_at_top = path.find('/') == std::string::npos;
    const std::string directory(is_at_top ? std::string_view() : text::parent_part(path));
    if (name == ".gitignore") whole.insert(directory);
    const bool is_over = name == ".git" && !is_at_top && now.st_nlink == 0;
    if (is_over && TRY(has_names(store, root, directory))) whole.insert(directory);
    if (has_others(now)) names.miss(now);
    if (now.st_nlink != 0 || before == nullptr) continue;
    // It was written by this name before that was removed, perhaps.
    const struct stat was = TRY(look(store, before, path));
    if (has_others(was)) names_before.miss(was);
  }
  TRY(names.find(root));
  if (before != nullptr) TRY(names_before.find(before));
  all.merge(whole);
  changed.assign(all.begin(), all.end());
  return name_submodules(store, *root, changed);
}

}  // namespace agentfs
