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

// All of `had` goes that is not wanted, and what is wanted comes; `tolerates` tells which refusals
// are none (name, code).
template <std::predicate<std::string_view, int> Tolerates>
Status replace_xattrs(TreeStore& store, const TreeNode& node, const Xattrs& had,
                      const Xattrs& wanted, const Tolerates& tolerates) {
  const auto checked = [&](std::string_view name, Status set) -> Status {
    return set || tolerates(name, set.error().code) ? ok() : std::move(set);
  };
  for (const auto& [name, value] : had) {
    if (wanted.contains(name)) continue;
    TRY(checked(name, store.remove_xattr(node, name, TreeCaller{})));
  }
  for (const auto& [name, value] : wanted) {
    if (const auto has = had.find(name); has != had.end() && has->second == value) continue;
    TRY(checked(name, store.set_xattr(node, name, value, 0, TreeCaller{})));
  }
  return ok();
}

}  // namespace agentfs
