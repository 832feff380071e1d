// SPDX-License-Identifier: MIT
// The directory in which a merge keeps what is new and what was replaced.
#pragma once

#include <string>

#include "backends/compare/content.h"
#include "backends/compare/record.h"
#include "backends/merge.h"

namespace agentfs::compare {

// Makes kMergeDirectory in the root; EBUSY where it exists.
Result<TreeNodeRef> make_staging(const TreeSide& ours);
// Nothing where there is none.
Result<TreeNodeRef> find_staging(const TreeSide& ours);
// The whole disk of a directory is written out.
Status sync_disk(TreeStore& store, const TreeNode& directory);

// Writes everything new of a plan into `staging` and tells the steps. ESTALE where a side is no
// longer what the plan saw.
struct Staging {
  const MergeSides& sides;
  TreeNodeRef directory;
  const TreeMerger::StageOptions& options;
};
Result<MergeRecord> stage_plan(const Staging& staging, const MergePlan& plan);

}  // namespace agentfs::compare
