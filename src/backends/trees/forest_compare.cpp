// SPDX-License-Identifier: MIT
// What differs between two directories, without looking where it cannot.
#include <algorithm>

#include "backends/trees/forest_store.h"

namespace agentfs::trees {

struct ForestStore::Pair {
  ForestNodeRef before;
  ForestNodeRef after;
  std::string path;
};
namespace {

using Entries = std::map<std::string, HostEntry>;

Result<Entries> entries_of(ForestDisk& forest, const Content& content) {
  const Borrowed fd = TRY(forest.table().borrow(*content.directory));
  Entries entries;
  for (HostEntry& entry : TRY(list_directory(fd.get()))) {
    std::string name = entry.name;
    entries.emplace(std::move(name), std::move(entry));
  }
  return entries;
}

bool same_attributes(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid;
}

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : fmt::format("{}/{}", path, name);
}

}  // namespace

bool ForestStore::is_same(const TreeNode& before, const TreeNode& after) {
  const auto old = own(before);
  const auto now = own(after);
  if (!old || !now || (*old)->solid() || (*now)->solid()) return false;
  const std::shared_lock together(mutex_);
  const auto from = f_->content(**old);
  const auto to = f_->content(**now);
  return from && to && from->source == to->source;
}

// Held for one name at a time, so that nobody who works on whole trees waits for a large directory.
Status ForestStore::compare(const TreeNode& before, const TreeNode& after,
                            const std::function<bool(const Difference&)>& each) {
  std::vector<Pair> left{{TRY(own(before)), TRY(own(after)), ""}};
  while (!left.empty()) {
    const Pair pair = std::move(left.back());
    left.pop_back();
    std::vector<Difference> found;
    std::vector<Pair> below;
    for (const std::string& name : TRY(names_that_differ(*pair.before, *pair.after))) {
      TRY(compare_entry({pair.before, pair.after, name}, found, below));
    }
    for (Pair& deeper : below) {
      deeper.path = joined(pair.path, deeper.path);
      left.push_back(std::move(deeper));
    }
    for (Difference& difference : found) {
      difference.path = joined(pair.path, difference.path);
      if (!each(difference)) return ok();
    }
  }
  return ok();
}

Result<std::vector<std::string>> ForestStore::names_that_differ(const TreeNode& one,
                                                                const TreeNode& other) {
  const auto from = TRY(own(one));
  const auto to = TRY(own(other));
  const std::shared_lock together(mutex_);
  std::vector<std::string> names;
  const Content before = TRY(f_->content(*from));
  const Content after = TRY(f_->content(*to));
  const bool hollow = !from->solid() && !to->solid();
  if (hollow && before.source == after.source) return names;
  const Entries old = TRY(entries_of(*f_, before));
  const Entries now = TRY(entries_of(*f_, after));
  for (const auto& [name, entry] : old) {
    const auto other = now.find(name);
    const bool same =
        other != now.end() && entry.type != S_IFDIR && entry.inode == other->second.inode;
    if (!same) names.push_back(name);
  }
  for (const auto& [name, entry] : now) {
    if (!old.contains(name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

// `pair` has the two directories and the entry's name. With no lock held.
Status ForestStore::compare_entry(const Pair& pair, std::vector<Difference>& found,
                                  std::vector<Pair>& below) {
  const auto take = [&](ForestNode& parent) -> Result<TreeEntry> {
    auto entry = look(parent, pair.path);
    if (!entry && entry.error().code == ENOENT) return TreeEntry{};
    return entry;
  };
  const TreeEntry before = TRY(take(*pair.before));
  const TreeEntry after = TRY(take(*pair.after));
  const auto is_directory = [](const TreeEntry& e) { return e.node && e.node->type() == S_IFDIR; };
  const bool directories = is_directory(before) && is_directory(after);
  if (directories) {
    below.push_back({std::static_pointer_cast<ForestNode>(before.node),
                     std::static_pointer_cast<ForestNode>(after.node), pair.path});
    if (same_attributes(before.attributes, after.attributes)) return ok();
  }
  const bool both = before.node && after.node;
  if (both && before.node->type() == after.node->type()) {
    found.push_back({Difference::Kind::changed, pair.path, before.node, after.node});
    return ok();
  }
  if (before.node) found.push_back({Difference::Kind::removed, pair.path, before.node, nullptr});
  if (after.node) found.push_back({Difference::Kind::added, pair.path, nullptr, after.node});
  return ok();
}

}  // namespace agentfs::trees
