// SPDX-License-Identifier: MIT
#include "backends/trees/forest_directory.h"

namespace agentfs::trees {

// The root of a snapshot has nothing above it that could be told.
std::uint64_t ForestDirectory::shown(ForestDisk& forest, const std::string& name, ino_t inode,
                                     std::uint64_t above) const {
  if (name == ".") return node_->inode();
  if (name == "..") {
    const auto names = forest.book().names(*node_);
    return names.empty() ? node_->inode() : names.front().parent->inode();
  }
  const ino_t id = forest.ids().id_of(inode);
  return above == 0 ? id : (above << 32) | (id & 0xFFFFFFFFu);
}

Result<ForestDirectory::Listing> ForestDirectory::list(ForestDisk& forest, const Content& content,
                                                       std::uint64_t above) const {
  const Borrowed fd = TRY(forest.table().borrow(*content.directory));
  Listing listing;
  const auto add = [&](const std::string& name, ino_t inode, mode_t type) {
    const auto next = static_cast<off_t>(listing.size() + 1);
    listing.push_back({name, shown(forest, name, inode, above), type, next});
  };
  add(".", 0, S_IFDIR);
  add("..", 0, S_IFDIR);
  for (const HostEntry& entry : TRY(list_directory(fd.get()))) {
    add(entry.name, entry.inode, entry.type);
  }
  return listing;
}

Result<ForestDirectory::State> ForestDirectory::state(ForestDisk& forest, off_t offset) const {
  {
    const Lock lock(mutex_);
    if (offset != 0 && (state_.listing || state_.solid)) return state_;
  }
  State state{.above = node_->tree->shown};
  const Content content = TRY(forest.content(*node_));
  if (node_->solid()) {
    state.solid = TRY(forest.disk().open_directory(*content.directory));
  } else {
    state.listing = std::make_shared<const Listing>(TRY(list(forest, content, state.above)));
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
      seen.inode = shown(forest, entry.name, entry.inode, state.above);
      return each(seen);
    });
  }
  for (auto at = static_cast<std::size_t>(offset); at < state.listing->size(); ++at) {
    if (!each((*state.listing)[at])) break;
  }
  return ok();
}

}  // namespace agentfs::trees
