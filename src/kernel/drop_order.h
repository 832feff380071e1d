// SPDX-License-Identifier: MIT
// Versions that are being forgotten: their contents go one by one, and then their row comes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernel/stored_caller.h"

namespace agentfs {

// STATE/drops/<name>. A value.
struct DropOrder {
  std::vector<std::uint64_t> gone{};
  std::vector<std::uint64_t> for_others{};
  std::string reason{};
  StoredCaller by{};

  static std::string directory(const std::string& state) { return state + "/drops"; }
  std::string text() const;
  static Result<DropOrder> parse(std::string_view text);  // EBADMSG
};

}  // namespace agentfs
