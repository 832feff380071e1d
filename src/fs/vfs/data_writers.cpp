// SPDX-License-Identifier: MIT
// The files of a data tree that are open for writing.
#include "fs/vfs/data_handle.h"

namespace agentfs::vfs {

void DataTree::add_writer(const std::shared_ptr<DataNode>& node, DataHandle& writer) {
  Lock lock(mutex_);
  writers_[node].insert(&writer);
}

void DataTree::remove_writer(const std::shared_ptr<DataNode>& node, DataHandle& writer) {
  Lock lock(mutex_);
  const auto found = writers_.find(node);
  found->second.erase(&writer);
  if (found->second.empty()) writers_.erase(found);
}

std::vector<std::shared_ptr<DataNode>> DataTree::writers() {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<DataNode>> open;
  for (const auto& [node, handles] : writers_) open.push_back(node);
  return open;
}

void DataTree::count_bypassed(const std::shared_ptr<DataNode>& node, int change) {
  Lock lock(mutex_);
  if ((past_daemon_[node] += change) <= 0) past_daemon_.erase(node);
}

// A file or its workspace may have another name by now than when it was opened.
int DataTree::open_past_daemon(const std::string& root) {
  std::vector<std::pair<std::shared_ptr<DataNode>, int>> open;
  {
    Lock lock(mutex_);
    open.assign(past_daemon_.begin(), past_daemon_.end());
  }
  int count = 0;
  for (const auto& [node, descriptors] : open) {
    if (node->place() == root) count += descriptors;
  }
  return count;
}

void DataTree::follow_renamed(const Renamed& renamed) {
  for (const auto& node : writers()) {
    const std::string path = node->path();
    if (node->is_written_past()) bypassed_->rename(node.get(), path);
    std::set<std::shared_ptr<WriteKeeper>> keepers;  // descriptors past the daemon share one
    for (const auto& handle : handles(node)) {
      bypassed_->rename(handle.get(), path);
      if (renamed.is_directory) keepers.insert(handle->shared_keeper());
    }
    for (const auto& keeper : keepers) {
      keeper->follow(keeper_, renamed.from, renamed.to, renamed.is_exchange);
    }
  }
}

bool DataTree::is_open_for_writing(const std::shared_ptr<DataNode>& node) {
  Lock lock(mutex_);
  return writers_.contains(node);
}

Status DataTree::tell_writes(const std::string& path) {
  for (const auto& node : writers()) {
    if (node->named_path() == path) TRY(tell_writes(node));
  }
  return ok();
}

std::vector<std::shared_ptr<DataHandle>> DataTree::handles(const std::shared_ptr<DataNode>& node) {
  std::vector<std::shared_ptr<DataHandle>> open;
  Lock lock(mutex_);
  const auto found = writers_.find(node);
  if (found == writers_.end()) return open;
  for (DataHandle* const writer : found->second) {
    if (auto alive = writer->alive()) open.push_back(std::move(alive));
  }
  return open;
}

Status DataTree::tell_writes(const std::shared_ptr<DataNode>& node) {
  for (const auto& writer : handles(node)) TRY(writer->account());
  return ok();
}

}  // namespace agentfs::vfs
