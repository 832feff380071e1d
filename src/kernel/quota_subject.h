// SPDX-License-Identifier: MIT
// Whose limit it is, read back.
#pragma once

#include <optional>
#include <string_view>

#include "base/text.h"
#include "kernel/quota.h"

namespace agentfs {

// The user of a user_subject(); nothing for a tree.
inline std::optional<uid_t> subject_user(std::string_view subject) {
  constexpr std::string_view kUser = "uid:";
  if (!subject.starts_with(kUser)) return std::nullopt;
  return text::number<uid_t>(subject.substr(kUser.size()));
}

}  // namespace agentfs
