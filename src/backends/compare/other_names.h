// SPDX-License-Identifier: MIT
// Further names of a file that a merge writes.
#pragma once

#include <string>
#include <vector>

#include "backends/merge.h"

namespace agentfs::compare {

struct OtherName {
  std::size_t action = 0;  // that of the file
  std::string path{};
};

// A name that ours alone gave to a file goes on being that file's when theirs is written to it;
// what is another kind by now is no text of that file. Null: an action that is not made.
std::vector<OtherName> other_names(const std::vector<const MergeAction*>& actions,
                                   const std::vector<PathChange>& ours,
                                   const std::vector<PathChange>& theirs);

}  // namespace agentfs::compare
