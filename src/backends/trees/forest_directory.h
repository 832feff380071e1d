// SPDX-License-Identifier: MIT
// A directory of a forked tree being listed.
#pragma once

#include <memory>
#include <vector>

#include "backends/trees/forest_disk.h"

namespace agentfs::trees {

// A solid directory is listed as the disk does it. What a hollow one reads may change its owner's
// directory beneath the listing, so its entries are taken at offset 0 and kept; their offsets are
// places in that list. Threads: all.
class ForestDirectory final : public TreeFile {
 public:
  // `open` is a descriptor of a directory that has the attributes.
  ForestDirectory(ForestNodeRef node, std::unique_ptr<TreeFile> open)
      : node_(std::move(node)), open_(std::move(open)) {}
  int descriptor() const override { return open_->descriptor(); }

  using Listing = std::vector<TreeStore::DirectoryEntry>;
  // What a listing from `offset` on is read from; found under the store's lock, with others.
  struct State {
    std::shared_ptr<const Listing> listing{};  // of a hollow one
    std::shared_ptr<TreeFile> solid{};
    TreeRef tree{};  // which the numbers in it are of
  };
  Result<State> state(ForestDisk& forest, off_t offset) const;
  // With no lock held.
  Status read(ForestDisk& forest, const State& state, off_t offset,
              const std::function<bool(const TreeStore::DirectoryEntry&)>& each) const;

 private:
  Result<Listing> list(ForestDisk& forest, const Content& content, const Tree& tree) const;
  std::uint64_t shown(ForestDisk& forest, const HostEntry& entry, const Tree& tree) const;

  const ForestNodeRef node_;
  const std::unique_ptr<TreeFile> open_;
  mutable Mutex<Rank::forest_nodes> mutex_;
  mutable State state_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::trees
