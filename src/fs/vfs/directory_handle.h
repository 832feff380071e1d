// SPDX-License-Identifier: MIT
// An open synthetic directory: the names it had when it was opened.
#pragma once

#include <string>
#include <vector>

#include "fs/vfs/context.h"

namespace agentfs::vfs {

// Immutable; threads: all. Offsets are places in the list, so they stay.
class DirectoryHandle final : public Handle {
 public:
  DirectoryHandle(const std::string& path, std::vector<DirectoryItem> items);
  Status read_directory(Request&, off_t offset, const EmitItem& each) override;

 private:
  std::vector<DirectoryItem> items_;
};

}  // namespace agentfs::vfs
