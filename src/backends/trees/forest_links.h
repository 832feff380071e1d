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

struct HardLinks {
  std::weak_ptr<Tree> tree{};
  // As one walk of the whole tree found them, so that the next such file is found without another:
  // what was found is where to look, not what is there.
  std::unordered_map<ino_t, std::vector<ForestNode::Name>> names{};
  // Those that have been prepared for a change in this epoch of the tree (file::identity()): who
  // removes names one by one has a node of the file for each.
  std::uint64_t epoch = 0;
  std::unordered_set<std::uint64_t> prepared{};
};

// Of the trees that there are. Under the store's lock, alone.
class KnownLinks {
 public:
  HardLinks& of(const TreeRef& tree);  // in its epoch
 private:
  std::map<std::uint32_t, HardLinks> all_;  // by line
};

// `asked` is told of with one name, too; of very many it alone. Under the store's lock, alone.
Result<HardLinks> find_hard_links(ForestDisk& disk, ForestNode& root, ino_t asked);

}  // namespace agentfs::trees
