// SPDX-License-Identifier: MIT
// Comparing and merging by libgit2's line differences, of trees read through their stores.
#pragma once

#include <memory>

#include "backends/compare.h"
#include "backends/merge.h"
#include "backends/overlay_fold.h"

namespace agentfs {

std::unique_ptr<TreeComparer> open_comparer();
std::unique_ptr<TreeMerger> open_merger();
std::unique_ptr<OverlayFolder> open_folder();

}  // namespace agentfs
