// SPDX-License-Identifier: MIT
// Open files and directories of a tree.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "backends/tree_store.h"
#include "base/mutex.h"

namespace agentfs::trees {

class OpenFile final : public TreeFile {
 public:
  explicit OpenFile(UniqueFd fd) : fd_(std::move(fd)) {}
  int descriptor() const override { return fd_.get(); }

 private:
  const UniqueFd fd_;
};

// A directory being listed. The kernel is asked for 64 KiB of entries at a time, and what one page
// did not use waits for the next, so a listing costs one pass however small the pages are. Offsets
// are the disk's own: they stay good while entries come and go. Offset 0 always asks afresh.
class OpenDirectory final : public TreeFile {
 public:
  // `root` is the inode number that ".." shall have where it would tell of what lies above.
  OpenDirectory(UniqueFd fd, std::optional<ino_t> root) : fd_(std::move(fd)), root_(root) {}
  int descriptor() const override { return fd_.get(); }

  // Threads: all, each at its own offset. `each` is called with no lock held.
  Status read(off_t offset,
              const std::function<bool(const TreeStore::DirectoryEntry&)>& each) const;

 private:
  struct Page {
    std::vector<char> bytes;
    std::size_t length = 0;
    std::size_t cursor = 0;
    off_t start = 0;   // the offset of the first entry in it
    off_t offset = 0;  // the offset of the entry at the cursor
  };
  Page take(off_t offset) const;
  void give_back(Page page) const;
  Result<bool> fill(Page& page) const;
  TreeStore::DirectoryEntry entry_at(const Page& page, std::size_t* length) const;

  const UniqueFd fd_;
  const std::optional<ino_t> root_;
  mutable Mutex<Rank::store> mutex_;
  mutable Page page_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::trees
