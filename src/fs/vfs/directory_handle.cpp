// SPDX-License-Identifier: MIT
#include "fs/vfs/directory_handle.h"

namespace agentfs::vfs {

DirectoryHandle::DirectoryHandle(const std::string& path, std::vector<DirectoryItem> items) {
  items_.reserve(items.size() + 2);
  items_.push_back({".", inode_number(path), S_IFDIR});
  items_.push_back({"..", inode_number(parent_path(path)), S_IFDIR});
  for (DirectoryItem& item : items) items_.push_back(std::move(item));
  off_t next = 0;
  for (DirectoryItem& item : items_) item.next_offset = ++next;
}

Status DirectoryHandle::read_directory(Request&, off_t offset, const EmitItem& each) {
  for (auto at = static_cast<std::size_t>(offset); at < items_.size(); ++at) {
    if (!each(items_[at])) break;
  }
  return ok();
}

}  // namespace agentfs::vfs
