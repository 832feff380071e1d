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

void DataTree::follow_renamed() {
  for (const auto& node : writers()) {
    if (node->is_written_past()) bypassed_->rename(node.get(), node->path());
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

Status DataTree::tell_writes(const std::shared_ptr<DataNode>& node) {
  std::vector<std::shared_ptr<DataHandle>> open;
  {
    Lock lock(mutex_);
    const auto found = writers_.find(node);
    if (found == writers_.end()) return ok();
    for (DataHandle* const writer : found->second) {
      if (auto alive = writer->weak_from_this().lock()) open.push_back(std::move(alive));
    }
  }
  for (const auto& writer : open) TRY(writer->account());
  return ok();
}

}  // namespace agentfs::vfs
