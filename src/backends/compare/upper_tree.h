// SPDX-License-Identifier: MIT
// All that an overlay's upper directory says, with what each directory of it lies over.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/compare/content.h"
#include "backends/compare/upper.h"

namespace agentfs::compare {

struct UpperNode {
  std::string name{};
  UpperEntry entry{};
  // Of a directory: the one of the lower tree, by its path there, whose entries it shows beside its
  // own. Nothing: it is new, or `is_lost`.
  std::optional<std::string> lower{};
  bool is_lost = false;   // it lay over a directory that others have taken away meanwhile
  bool is_moved = false;  // the lower one had another path
  std::vector<UpperNode> children{};
};

struct UpperTree {
  UpperNode root{};
  std::map<ino_t, std::size_t> names{};        // of files, by their inode in the upper directory
  std::set<std::string, std::less<>> moved{};  // lower paths of directories that have another now
};

// `ours` is what the lower tree is now.
Result<UpperTree> read_upper_tree(const UpperDirectory& upper, const TreeSide& ours);

// Names that no command may give: the mount's own.
bool is_reserved(std::string_view path);

std::string joined(const std::string& directory, const std::string& name);

}  // namespace agentfs::compare
