// SPDX-License-Identifier: MIT
#include "kernel/ended_trees.h"

#include "base/text.h"

namespace agentfs {

std::string_view tree_of(std::string_view path) {
  if (!path.starts_with("/workspaces/") && !path.starts_with("/home/")) return {};
  return text::first_parts(path, 2);
}

std::vector<std::string> trees_ended_by(const Record& record) {
  const json::Value& data = record.data;
  const bool is_rename = record.kind == "tree.rename";
  const bool is_discard = record.kind == "tree.discard" && data["name"].text().empty();
  if (!is_rename && !is_discard && record.kind != "tree.remove") return {};
  std::vector<std::string> ended{json::bytes_of(data, "path")};
  if (!data["kept"].is_null() || data["exchange"].truth()) {
    ended.push_back(json::bytes_of(data, "other"));
  }
  std::erase_if(ended, [](const auto& path) { return path.empty() || path != tree_of(path); });
  return ended;
}

}  // namespace agentfs
