// SPDX-License-Identifier: MIT
// The files of a tree that have several names in it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backends/trees/forest_nodes.h"

namespace agentfs::trees {

class ForestDisk;

// As one walk of the whole tree found them, so that the next such file is found without another:
// what was found is where to look, not what is there.
class FoundLinks {
 public:
  void add(ino_t inode, const ForestNode::Name& name);
  bool has(ino_t inode) const { return names_.contains(inode); }
  std::vector<ForestNode::Name> of(ino_t inode) const;
  // It is removed: nothing of it is to be found any more, and it is kept by nobody for that.
  void leave(const ForestNode& directory);

 private:
  struct Place {
    std::size_t directory = 0;
    std::string name{};
  };
  std::vector<ForestNodeRef> directories_{};  // each once
  std::unordered_map<const ForestNode*, std::size_t> numbers_{};
  std::unordered_map<ino_t, std::vector<Place>> names_{};
};

struct HardLinks {
  std::weak_ptr<Tree> tree{};
  FoundLinks found{};
  // Those that have been prepared for a change in this epoch of the tree (file::identity()): who
  // removes names one by one has a node of the file for each.
  std::uint64_t epoch = 0;
  std::unordered_set<std::uint64_t> prepared{};
};

// Of the trees that there are. Under the store's lock, alone.
class KnownLinks {
 public:
  HardLinks& of(const TreeRef& tree);       // in its epoch
  void leave(const ForestNode& directory);  // it was removed from its tree
  void drop(const Tree& tree);              // the line has none any more

 private:
  std::map<std::uint32_t, HardLinks> all_;  // by line
};

// `asked` is told of with one name, too; of very many it alone. Under the store's lock, alone.
Result<FoundLinks> find_hard_links(ForestDisk& disk, ForestNode& root, ino_t asked);

}  // namespace agentfs::trees
