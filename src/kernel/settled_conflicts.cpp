// SPDX-License-Identifier: MIT
// Conflicts that were ended by hand before anything was merged: what the next merge of the two
// knows of them.
#include <algorithm>

#include "kernel/merges.h"

namespace agentfs {
namespace {

// By which number a file is known, each state of a tree says for itself.
bool is_same_but_number(FileState known, const FileState& now) {
  known.device = now.device;
  known.inode = now.inode;
  return known == now;
}

// What theirs was taken to is no renamed file of ours' any more, and is asked for by its old name.
bool is_of_one(const MergeConflict& settled, const MergeConflict& now) {
  const bool is_same_base = !now.base_path.empty() && settled.base_path == now.base_path;
  return settled.path == now.path || is_same_base;
}

bool is_settled(const MergeConflict& settled, const MergeConflict& now) {
  if (!is_of_one(settled, now) || settled.theirs_path != now.theirs_path) return false;
  return settled.base == now.base && is_same_but_number(settled.theirs, now.theirs);
}

}  // namespace

// Of conflicts that were ended by hand since the last merge of the two was asked for, ours counts.
void Merges::leave_out_settled(const MergeConflictsRef& before, MergePlan& plan,
                               MergeConflicts& left) {
  if (before == nullptr || before->from != left.from) return;
  left.settled = before->settled;
  left.ended_after = before->ended_after;
  std::erase_if(plan.conflicts, [&](const MergeConflict& conflict) {
    return std::ranges::any_of(left.settled,
                               [&](const MergeConflict& one) { return is_settled(one, conflict); });
  });
}

}  // namespace agentfs
