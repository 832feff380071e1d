// SPDX-License-Identifier: MIT
// How the trees of imports are called among those of their forest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "backends/forest.h"
#include "base/text.h"

namespace agentfs::import_names {

inline std::string tree_of(std::uint32_t id) { return fmt::format("{}{}", kHiddenTree, id); }

inline std::optional<std::uint32_t> id_of(std::string_view tree) {
  if (!tree.starts_with(kHiddenTree)) return std::nullopt;
  return text::number<std::uint32_t>(tree.substr(kHiddenTree.size()));
}

}  // namespace agentfs::import_names
