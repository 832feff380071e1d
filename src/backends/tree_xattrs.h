// SPDX-License-Identifier: MIT
// The extended attributes of a file of a tree.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "backends/tree_store.h"
#include "base/text.h"
#include "base/xattrs.h"

namespace agentfs {

// Those that are wanted by their names; none on a disk without.
template <std::predicate<std::string_view> Wanted>
Xattrs xattrs_of(TreeStore& store, const TreeNode& node, const Wanted& is_wanted) {
  Xattrs all;
  const auto names = store.list_xattr(node);
  if (!names) return all;
  for (const std::string_view part : text::split(*names, '\0')) {
    if (part.empty() || !is_wanted(part)) continue;
    std::string name(part);
    if (auto value = store.get_xattr(node, name)) {
      all.emplace(std::move(name), *std::move(value));
    }
  }
  return all;
}

}  // namespace agentfs
