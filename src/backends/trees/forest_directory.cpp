// SPDX-License-Identifier: MIT
#include "backends/trees/forest_directory.h"

namespace agentfs::trees {

// The root of a snapshot has nothing above it that could be told.
std::uint64_t ForestDirectory::shown(ForestDisk& forest, const HostEntry& entry,
                                     const Tree& tree) const {
  if (entry.name == ".") return node_->inode();
  if (entry.name == "..") {
    const auto names = forest.book().names(*node_);
    return names.empty() ? node_->inode() : names.front().parent->inode();
  }
  return forest.shown_number(tree, entry.type, forest.ids().id_of(entry.inode), entry.inode);
}

Result<ForestDirectory::Listing> ForestDirectory::list(ForestDisk& forest, const Content& content,
                                                       const Tree& tree) const {
  const Borrowed fd = TRY(forest.table().borrow(*content.directory));
  Listing listing;
  const auto add = [&](const HostEntry& entry) {
    const auto next = static_cast<off_t>(listing.size() + 1);
    listing.push_back({entry.name, shown(forest, entry, tree), entry.type, next});
  };
  add({.name = ".", .type = S_IFDIR});
  add({.name = "..", .type = S_IFDIR});
  for (const HostEntry& entry : TRY(list_directory(fd.get()))) add(entry);
  return listing;
}

Result<ForestDirectory::State> ForestDirectory::state(ForestDisk& forest, off_t offset) const {
  {
    const Lock lock(mutex_);
    if (offset != 0 && (state_.listing || state_.solid)) return state_;
  }
  State state{.tree = node_->tree};
  const Content content = TRY(forest.content(*node_));
  if (node_->solid()) {
    state.solid = TRY(forest.disk().open_directory(*content.directory));
  } else {
    state.listing = std::make_shared<const Listing>(TRY(list(forest, content, *state.tree)));
  }
  State before;  // ended after the lock
  const Lock lock(mutex_);
  before = std::exchange(state_, state);
  return state;
}

Status ForestDirectory::read(
    ForestDisk& forest, const State& state, off_t offset,
    const std::function<bool(const TreeStore::DirectoryEntry&)>& each) const {
  if (state.solid) {
    return forest.disk().read_directory(*state.solid, offset, [&](const auto& entry) {
      TreeStore::DirectoryEntry seen = entry;
      seen.inode = shown(forest, {.name = entry.name, .inode = entry.inode, .type = entry.type},
                         *state.tree);
      return each(seen);
    });
  }
  for (auto at = static_cast<std::size_t>(offset); at < state.listing->size(); ++at) {
    if (!each((*state.listing)[at])) break;
  }
  return ok();
}

}  // namespace agentfs::trees
