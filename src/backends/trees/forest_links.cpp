// SPDX-License-Identifier: MIT
#include "backends/trees/forest_links.h"

#include "backends/trees/forest_disk.h"

namespace agentfs::trees {
namespace {

constexpr std::size_t kMostKept = 200'000;  // names

struct FoundNames {
  std::unordered_map<ino_t, ForestNode::Name> first{};
  FoundLinks linked{};
  std::size_t kept = 0;

  void add(ino_t inode, const ForestNode::Name& name) {
    const auto [at, is_new] = first.try_emplace(inode, name);
    if (is_new) return;
    if (!linked.has(inode)) linked.add(inode, at->second);
    linked.add(inode, name);
    ++kept;
  }
  // Those with several names, and the one that is asked for; of very many it alone.
  FoundLinks linked_with(ino_t asked) {
    const auto one = first.find(asked);
    if (!linked.has(asked) && one != first.end()) linked.add(asked, one->second);
    if (kept <= kMostKept) return std::move(linked);
    FoundLinks alone;
    for (const ForestNode::Name& name : linked.of(asked)) alone.add(asked, name);
    return alone;
  }
};

}  // namespace

void FoundLinks::add(ino_t inode, const ForestNode::Name& name) {
  const auto [number, is_new] = numbers_.try_emplace(name.parent.get(), directories_.size());
  if (is_new) directories_.push_back(name.parent);
  names_[inode].push_back({number->second, name.name});
}

std::vector<ForestNode::Name> FoundLinks::of(ino_t inode) const {
  std::vector<ForestNode::Name> names;
  const auto found = names_.find(inode);
  if (found == names_.end()) return names;
  for (const Place& place : found->second) {
    const ForestNodeRef& directory = directories_[place.directory];
    if (directory) names.push_back({directory, place.name});
  }
  return names;
}

void FoundLinks::leave(const ForestNode& directory) {
  const auto found = numbers_.find(&directory);
  if (found == numbers_.end()) return;
  directories_[found->second].reset();
  numbers_.erase(found);
}

HardLinks& KnownLinks::of(const TreeRef& tree) {
  auto found = all_.find(tree->line->number());
  if (found == all_.end() || tree->refusal != 0 || found->second.tree.lock() != tree) {
    std::erase_if(all_, [](const auto& one) { return one.second.tree.expired(); });
    found = all_.insert_or_assign(tree->line->number(), HardLinks{.tree = tree}).first;
  }
  HardLinks& known = found->second;
  if (known.epoch != tree->epoch) known.prepared.clear();
  known.epoch = tree->epoch;
  return known;
}

void KnownLinks::leave(const ForestNode& directory) {
  const auto found = all_.find(directory.tree->line->number());
  if (found != all_.end()) found->second.found.leave(directory);
}

void KnownLinks::drop(const Tree& tree) {
  if (tree.line) all_.erase(tree.line->number());
}

// Not by recursion: a tree may be deeper than a stack has room for.
Result<FoundLinks> find_hard_links(ForestDisk& disk, ForestNode& root, ino_t asked) {
  FoundNames found;
  std::vector<ForestNodeRef> left{root.shared_from_this()};
  while (!left.empty()) {
    const ForestNodeRef directory = std::move(left.back());
    left.pop_back();
    const Content content = TRY(disk.content(*directory));
    const Borrowed fd = TRY(disk.table().borrow(*content.directory));
    const OwnerRights lent = TRY(OwnerRights::lend(fd.get(), S_IRWXU, disk.rights()));
    for (HostEntry& entry : TRY(list_directory(fd.get()))) {
      if (entry.type == S_IFDIR) {
        const TreeEntry below = TRY(disk.find_alone(*directory, entry.name));
        left.push_back(std::static_pointer_cast<ForestNode>(below.node));
      } else {
        found.add(entry.inode, {directory, std::move(entry.name)});
      }
    }
  }
  return found.linked_with(asked);
}

}  // namespace agentfs::trees
