// SPDX-License-Identifier: MIT
#include "fs/vfs/scratch_table.h"

#include "base/text.h"

namespace agentfs::vfs {

Status ScratchTable::add(const Place& place, ScratchRef node) {
  Lock lock(mutex_);
  if (nodes_.contains(place)) {
    return fail(EEXIST, "{}/{}: there is one already", place.directory, text::shown(place.name));
  }
  if (nodes_.size() >= kOfAll) {
    return fail(EDQUOT,
                "{}/{}: there are {} temporary files beside control files already; they go "
                "within a minute",
                place.directory, text::shown(place.name), nodes_.size());
  }
  std::size_t& count = counts_[place.session];
  if (count >= kOfOneSession) {
    return fail(EDQUOT, "{}/{}: this session has {} temporary files beside control files already",
                place.directory, text::shown(place.name), count);
  }
  ++count;
  nodes_.emplace(place, std::move(node));
  return ok();
}

ScratchRef ScratchTable::find(const Place& place) {
  Lock lock(mutex_);
  const auto found = nodes_.find(place);
  return found == nodes_.end() ? nullptr : found->second;
}

ScratchRef ScratchTable::take(const Place& place) {
  Lock lock(mutex_);
  const auto found = nodes_.find(place);
  if (found == nodes_.end()) return nullptr;
  ScratchRef node = std::move(found->second);
  nodes_.erase(found);
  if (const auto count = counts_.find(place.session); --count->second == 0) counts_.erase(count);
  return node;
}

std::vector<std::pair<std::string, ScratchRef>> ScratchTable::list(const std::string& session,
                                                                   const std::string& directory) {
  std::vector<std::pair<std::string, ScratchRef>> found;
  Lock lock(mutex_);
  for (auto node = nodes_.lower_bound({session, directory, {}});
       node != nodes_.end() && node->first.session == session && node->first.directory == directory;
       ++node) {
    found.emplace_back(node->first.name, node->second);
  }
  return found;
}

void ScratchTable::expire(const Place& place, const ScratchNode* node) {
  if (find(place).get() == node) take(place);
}

void ScratchTable::clear() {
  std::map<Place, ScratchRef> dropped;
  Lock lock(mutex_);
  dropped.swap(nodes_);
  counts_.clear();
}

}  // namespace agentfs::vfs
