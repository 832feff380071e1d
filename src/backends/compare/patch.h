// SPDX-License-Identifier: MIT
// Differences as text: a line each, and as a patch.
#pragma once

#include <string>
#include <vector>

#include "backends/compare.h"

namespace agentfs::compare {

std::string status_text(const std::vector<PathChange>& changes);

// As TreeComparer::diff.
Status write_patch(const TreeComparer::Patch& patch, const TreeComparer::Sink& sink);

}  // namespace agentfs::compare
