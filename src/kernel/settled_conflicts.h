// SPDX-License-Identifier: MIT
// What resolve has ended of conflicts of refused merges, while other trees are merged.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/conflict_table.h"

namespace agentfs {

class Kernel;

// Those with a tree that is to be merged, be they of the last merge or laid aside; null: none.
// Those of a last merge of another tree are laid aside, in a file for each, since that of the last
// one is about to be written anew. Threads: as of merges into the root.
MergeConflictsRef settled_with(const Kernel& kernel, const std::string& root, std::uint32_t from,
                               const MergeConflictsRef& last);
// They say nothing more: that tree has been merged.
void drop_settled(const Kernel& kernel, const std::string& root, std::uint32_t from);
// The tree is gone, or another state.
void drop_settled_of(const Kernel& kernel, const std::string& top, std::uint32_t tree);
// Whether a file beside those of last merges is one of these, and of what is there no more.
bool is_settled_file(std::string_view name);
bool is_of_gone(const Kernel& kernel, std::string_view settled_file);

}  // namespace agentfs
