// SPDX-License-Identifier: MIT
// Texts against texts, by libgit2: their differences, and three merged into one.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace agentfs::compare {

bool is_binary(std::string_view bytes);  // as git sees it: a NUL in the first 8,000

std::string blob_id(std::string_view bytes);  // 40 hex digits; of git's object

// The hunks, or the "GIT binary patch", that lead from one to the other, without a header; nothing
// for equal ones.
using TextSink = std::function<void(std::string_view)>;
Status write_hunks(std::string_view before, std::string_view after, const TextSink& sink);

struct MergedText {
  std::string text{};
  bool is_clean = false;  // else it has markers
};
struct MergeInput {
  std::string_view base;
  std::string_view ours;
  std::string_view theirs;
};
Result<MergedText> merge_lines(const MergeInput& input);

}  // namespace agentfs::compare
