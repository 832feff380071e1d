// SPDX-License-Identifier: MIT
// The steps of a merge made, undone and cleared away.
#pragma once

#include "backends/compare/content.h"
#include "backends/compare/record.h"
#include "backends/merge.h"

namespace agentfs::compare {

// Of one file, whether nobody wrote to it; renames move its time of change, and entries those of a
// directory.
bool is_untouched(const FileState& now, const FileState& known);

// As the functions of TreeMerger.
Status apply_steps(const TreeSide& ours, const MergeRecord& record,
                   const TreeMerger::Exchange& exchange);
Status undo_steps(const TreeSide& ours, const MergeRecord& record,
                  const TreeMerger::Exchange& exchange);
Status clear_staging(const TreeSide& ours, const MergeRecord& record, const TreeMerger::Kept& kept,
                     const TreeMerger::Returned& returned);
Status discard_staging(const TreeSide& ours);

}  // namespace agentfs::compare
