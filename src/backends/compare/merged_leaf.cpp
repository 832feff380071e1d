// SPDX-License-Identifier: MIT
// Three versions of a file as one text.
#include "backends/compare/decide.h"
#include "backends/compare/line_merge.h"

namespace agentfs::compare {

// Of a base that is not to be had any more nothing is known: what both sides changed is a conflict.
Result<MergedLeaf> merge_leaves(const ThreeLeaves& leaves, std::int64_t largest) {
  auto found = leaves.base ? read_leaf(*leaves.base, largest) : Result<std::string>("");
  const bool is_lost = !found && found.error().code == EBUSY;
  const std::string base = is_lost ? std::string() : TRY(std::move(found));
  const std::string ours = TRY(read_leaf(leaves.ours, largest));
  const std::string theirs = TRY(read_leaf(leaves.theirs, largest));
  if (is_binary(base) || is_binary(ours) || is_binary(theirs)) {
    return fail(ENOTSUP, "not text; only texts are merged");
  }
  auto merged = TRY(merge_lines({.base = base, .ours = ours, .theirs = theirs}));
  merged.is_clean = merged.is_clean && !is_lost;
  const bool is_ours = merged.is_clean && merged.text == ours;
  return MergedLeaf{std::move(merged.text), merged.is_clean, is_ours, is_lost};
}

}  // namespace agentfs::compare
