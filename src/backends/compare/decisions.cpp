// SPDX-License-Identifier: MIT
#include "backends/compare/decisions.h"

#include "base/text.h"

namespace agentfs::compare {

using Reason = MergeConflict::Reason;

MergeAction action_of(MergeAction::Kind kind, const PathChange& theirs) {
  MergeAction action{.kind = kind, .mode = theirs.after.mode, .path = theirs.path};
  action.base_path = theirs.from;
  action.base = theirs.before;
  if (theirs.after.exists()) action.theirs_path = theirs.path;
  action.theirs = theirs.after;
  return action;
}

Decision because(MergeConflict conflict, Reason reason, std::string sentence) {
  conflict.reason = reason;
  conflict.sentence = std::move(sentence);
  return {.conflict = std::move(conflict)};
}

Decision modes_apart(MergeConflict conflict) {
  const auto modes =
      fmt::format("both sides added it, with mode {:o} in ours and {:o} in theirs",
                  conflict.ours.mode & kPermissions, conflict.theirs.mode & kPermissions);
  return because(std::move(conflict), Reason::mode, modes);
}

Decision dressed_apart(MergeConflict conflict) {
  return because(std::move(conflict), Reason::attributes,
                 "both sides added it, with another owner or other attributes");
}

std::optional<mode_t> merged_permissions(mode_t base, mode_t ours, mode_t theirs) {
  base &= kPermissions;
  ours &= kPermissions;
  theirs &= kPermissions;
  if (theirs == base || theirs == ours) return ours;
  if (ours == base) return theirs;
  return std::nullopt;
}

MergeConflict conflict_of(const PathChange& theirs, const std::string& ours_path,
                          const FileState& ours) {
  MergeConflict conflict{.path = ours_path.empty() ? theirs.path : ours_path};
  conflict.base_path = theirs.from;
  conflict.base = theirs.before;
  if (ours.exists()) conflict.ours_path = ours_path;
  conflict.ours = ours;
  if (theirs.after.exists()) conflict.theirs_path = theirs.path;
  conflict.theirs = theirs.after;
  return conflict;
}

}  // namespace agentfs::compare
