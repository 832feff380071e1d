// SPDX-License-Identifier: MIT
// What is told of a merge: to the journal, to the host's caches, to who watches directories.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/merge.h"
#include "base/json.h"
#include "kernel/record.h"
#include "kernel/tree_change.h"

namespace agentfs {

class Journal;

// The rows of a plan below `root`, as an order keeps them: each could be made after those before
// it, so that no name is taken that is not free yet. A file that moves is a rename and, where its
// bytes or permissions change, what that is; where it changes places with a directory, it is
// removed and created.
json::Array merge_rows(const std::string& root, const MergePlan& plan);
TreeChange change_of(const json::Value& row);
// Whether what is merged from there is what an imported directory has, by a rebase.
bool is_rebase(std::string_view from);
// Of the merge itself.
TreeChange whole_row(const std::string& root, const std::string& from, std::size_t changes);
// As the journal gets it; of all rows the one of a path, if there is one.
TreeChange merge_row(const json::Value& row, const std::string& from);
std::optional<TreeChange> merge_row(const json::Array& rows, const std::string& from,
                                    std::string_view path);
// How many rows of one merge the journal has after `head`, of the merge itself the first.
Result<std::size_t> merge_rows_told(const Journal& journal, Sequence head, std::string_view root,
                                    std::string_view from);

// Every name that a row takes away, makes or changes.
std::vector<TreeEvent> events_of(const json::Array& rows);
// The same names where the changes were undone: what there is, is as it was.
std::vector<TreeEvent> as_undone(std::vector<TreeEvent> events);

}  // namespace agentfs
