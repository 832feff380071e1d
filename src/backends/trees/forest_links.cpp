// SPDX-License-Identifier: MIT
#include "backends/trees/forest_links.h"

#include "backends/trees/forest_disk.h"

namespace agentfs::trees {
namespace {

constexpr std::size_t kMostKept = 200'000;  // names

struct FoundNames {
  std::unordered_map<ino_t, ForestNode::Name> first{};
  HardLinks linked{};
  std::size_t kept = 0;

  void add(ino_t inode, ForestNode::Name name) {
    const auto [at, is_new] = first.try_emplace(inode, std::move(name));
    if (is_new) return;
    auto& names = linked.names[inode];
    if (names.empty()) names.push_back(at->second);
    names.push_back(std::move(name));
    ++kept;
  }
};

}  // namespace

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

// Not by recursion: a tree may be deeper than a stack has room for.
Result<HardLinks> find_hard_links(ForestDisk& disk, ForestNode& root, ino_t asked) {
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
  HardLinks& linked = found.linked;
  auto& own = linked.names[asked];
  if (const auto one = found.first.find(asked); own.empty() && one != found.first.end()) {
    own.push_back(one->second);
  }
  if (found.kept > kMostKept) linked.names = {{asked, std::move(own)}};
  linked.tree = root.tree;
  return std::move(linked);
}

}  // namespace agentfs::trees
