// SPDX-License-Identifier: MIT
// What beyond its type a setting's value must be. Private to the documents.
#pragma once

#include "base/json.h"
#include "kernel/configuration.h"

namespace agentfs {

struct SettingRule {
  std::string_view document{};
  std::string_view key{};
  bool (*fits)(const json::Value& value) = nullptr;
  std::string_view wants{};  // what would do
};

const SettingRule* find_rule(std::string_view document, std::string_view key);

}  // namespace agentfs
