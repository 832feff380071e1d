// SPDX-License-Identifier: MIT
#include "backends/compare/other_names.h"

#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;
using Names = std::unordered_map<std::uint64_t, std::vector<const PathChange*>>;

Names names_of_ours(const std::vector<PathChange>& ours, const std::vector<PathChange>& theirs) {
  std::unordered_set<std::string_view> told;
  for (const PathChange& change : theirs) told.insert({change.path, change.from});
  Names names;
  for (const PathChange& change : ours) {
    const bool is_name = change.after.is_regular() && !change.whole && !told.contains(change.path);
    if (is_name) names[change.after.inode].push_back(&change);
  }
  return names;
}

}  // namespace

std::vector<OtherName> other_names(const std::vector<const MergeAction*>& actions,
                                   const std::vector<PathChange>& ours,
                                   const std::vector<PathChange>& theirs) {
  Names names = names_of_ours(ours, theirs);
  // A name that ours took away went to where another file was, which makes no rename of the two.
  std::unordered_map<std::uint64_t, std::size_t> moved;  // by the inode in base
  for (const PathChange& change : ours) {
    if (change.kind == Kind::deleted && change.before.is_regular()) ++moved[change.before.inode];
  }
  std::vector<OtherName> others;
  for (std::size_t at = 0; at < actions.size(); ++at) {
    const MergeAction* const action = actions[at];
    // What gets an owner or an extended attribute is a new file, too.
    const bool is_written = action != nullptr && action->theirs.is_regular() &&
                            (action->kind == MergeAction::Kind::write || action->attributes) &&
                            !action->ours_path.empty();
    const auto found = is_written ? names.find(action->ours.inode) : names.end();
    if (found == names.end()) continue;
    const auto gone = moved.find(action->base.inode);
    std::size_t left = gone == moved.end() ? 0 : gone->second;
    for (const PathChange* const name : found->second) {
      // What was this file in base is what theirs has made of it there.
      const bool was_it = name->before.exists() && name->before.inode == action->base.inode;
      if (was_it || name->path == action->ours_path) continue;
      if (name->before.exists() && left > 0) {
        --left;
        continue;
      }
      others.push_back({at, name->path});
    }
    names.erase(found);
  }
  return others;
}

}  // namespace agentfs::compare
