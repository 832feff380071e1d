// SPDX-License-Identifier: MIT
// The files of a tree that have several names in it.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "backends/trees/forest_nodes.h"

namespace agentfs::trees {

class ForestDisk;

// As one walk of the whole tree found them, so that the next such file is found without another:
// what was found is where to look, not what is there.
struct HardLinks {
  std::weak_ptr<Tree> tree{};
  std::unordered_map<ino_t, std::vector<ForestNode::Name>> names{};

  bool are_of(const TreeRef& one) const { return one->refusal == 0 && tree.lock() == one; }
};

// `asked` is told of with one name, too; of very many it alone. Under the store's lock, alone.
Result<HardLinks> find_hard_links(ForestDisk& disk, ForestNode& root, ino_t asked);

}  // namespace agentfs::trees
