// SPDX-License-Identifier: MIT
#pragma once

#include "backends/merge.h"

namespace agentfs::compare {

// As TreeMerger::plan.
Result<MergePlan> plan_merge(const MergeSides& sides, const CompareOptions& options);

}  // namespace agentfs::compare
