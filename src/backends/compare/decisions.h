// SPDX-License-Identifier: MIT
// What decisions about single files are made of.
#pragma once

#include <optional>
#include <string>

#include "backends/compare/decide.h"

namespace agentfs::compare {

MergeAction action_of(MergeAction::Kind kind, const PathChange& theirs);
Decision because(MergeConflict conflict, MergeConflict::Reason reason, std::string sentence);
Decision modes_apart(MergeConflict conflict);
Decision dressed_apart(MergeConflict conflict);
// The permissions that three versions lead to; nothing where both sides changed them differently.
std::optional<mode_t> merged_permissions(mode_t base, mode_t ours, mode_t theirs);

}  // namespace agentfs::compare
