// SPDX-License-Identifier: MIT
// The steps of a write() to a directory of the host, as they are noted before the first is taken.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compare.h"

namespace agentfs::imports {

struct Step {
  std::string path{};       // "" in notes of an earlier version, between what goes and what comes
  std::string temporary{};  // where what comes lies ready, or what goes is on its way; or ""
  bool comes = true;        // of an earlier version, what goes, too
  // What may lie there without being anybody's work: of what comes, what was staged, once it is,
  // and then what was to go; of what goes, itself. At least one. Earlier versions did not tell, and
  // took all for theirs.
  std::optional<std::vector<FileState>> ours{};
};

// A byte, then a JSON value a line. Earlier versions wrote a path and its temporary file, or "",
// each ended by NUL, after a NUL, with a pair of two "" after what is to go; before that they began
// with no such byte, and told temporary files by the form of their names.
std::string text_of(const std::vector<Step>& steps);
std::vector<Step> steps_from(std::string_view text);

}  // namespace agentfs::imports
