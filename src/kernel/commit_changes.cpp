// SPDX-License-Identifier: MIT
#include "kernel/commit_changes.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "kernel/places.h"
#include "kernel/submodules.h"
#include "kernel/tree_path.h"
#include "kernel/unignored.h"

namespace agentfs {
namespace {

using Paths = std::set<std::string>;

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
        if (entry.type == S_IFREG) note(entry.inode, path_in(path, entry.name));
        return true;
      }));
      for (const std::string& name : below) {
        const auto entry = store_.lookup(*directory, name);
        if (entry) left.emplace_back(entry->node, path_in(path, name));  // else gone meanwhile
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
                        std::vector<std::string>& changed, std::vector<std::string>& unignored) {
  Paths all(changed.begin(), changed.end());
  Names names(store, all);
  Names names_before(store, all);
  Places places(store, root);
  Places places_before(store, before);
  Paths whole;
  for (const std::string& path : all) {
    const std::string_view name = text::last_part(path);
    const struct stat now = TRY(places.look(path));
    const std::string directory(text::parent_part(path));
    if (name == ".gitignore" && before == nullptr) unignored.push_back(directory);
    if (name == ".gitignore" && before != nullptr) {
      TRY(find_unignored(store, before, root, directory, whole));
    }
    // What is stored of files that nobody has changed goes by these as well.
    if (name == ".gitattributes") whole.insert(directory);
    const bool is_over = name == ".git" && path != name && now.st_nlink == 0;
    if (is_over && places.has_names(directory)) whole.insert(directory);
    if (has_others(now)) names.miss(now);
    if (now.st_nlink != 0 || before == nullptr) continue;
    // It was written by this name before that was removed, perhaps.
    const struct stat was = TRY(places_before.look(path));
    if (has_others(was)) names_before.miss(was);
  }
  TRY(names.find(root));
  if (before != nullptr) TRY(names_before.find(before));
  all.merge(whole);
  changed.assign(all.begin(), all.end());
  return name_submodules(store, root, changed);
}

}  // namespace agentfs
