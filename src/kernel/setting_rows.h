// SPDX-License-Identifier: MIT
// What beyond its type a setting's value must be. Private to the documents;
// the names of the tools are the agents' as well.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/json.h"
#include "kernel/configuration.h"

namespace agentfs {

struct SettingRule {
  std::string_view document{};
  std::string_view key{};
  bool (*fits)(const json::Value& value) = nullptr;
  std::string_view wants{};                                  // what would do
  std::string (*fault)(const json::Value& value) = nullptr;  // what is wrong, where it is known
};

// The tools that a profile may give, sorted; agents/tools.cpp has a row for each.
inline constexpr std::array<std::string_view, 8> kToolNames = {"ctl",  "delete", "edit",   "exec",
                                                               "list", "read",   "search", "write"};

const SettingRule* find_rule(std::string_view document, std::string_view key);

}  // namespace agentfs
