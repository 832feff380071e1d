// SPDX-License-Identifier: MIT
#include "kernel/checkpoint_changes.h"

#include <optional>

#include "kernel/submodules.h"

namespace agentfs {
namespace {

struct Pair {
  TreeNodeRef before{};
  TreeNodeRef after{};
  std::string path{};  // "", or with a slash at its end
};

Result<std::optional<TreeEntry>> find(Forest& forest, const TreeNode& in, const std::string& name) {
  auto entry = forest.lookup(in, name);
  if (entry) return std::optional(std::move(*entry));
  if (entry.error().code == ENOENT) return std::nullopt;
  return std::unexpected(std::move(entry).error());
}

bool is_as_open(const struct stat& one, const struct stat& other) {
  return one.st_mode == other.st_mode && one.st_uid == other.st_uid && one.st_gid == other.st_gid;
}

bool is_directory(const std::optional<TreeEntry>& entry) {
  return entry && S_ISDIR(entry->attributes.st_mode);
}

}  // namespace

Result<std::vector<std::string>> changes_between(Forest& forest, TreeNodeRef before,
                                                 TreeNodeRef after) {
  std::vector<std::string> changes;
  std::vector<Pair> left{{std::move(before), std::move(after)}};
  while (!left.empty()) {
    const Pair pair = std::move(left.back());
    left.pop_back();
    for (const std::string& name : TRY(forest.names_that_differ(*pair.before, *pair.after))) {
      const std::string path = pair.path + name;
      if (name == ".git") {
        changes.push_back(pair.path.empty() ? std::string(kSubmodules) : path);
        if (pair.path.empty()) changes.emplace_back(kIndex);
        continue;
      }
      const auto one = TRY(find(forest, *pair.before, name));
      const auto other = TRY(find(forest, *pair.after, name));
      const bool leads_on = is_directory(one) && is_directory(other) &&
                            is_as_open(one->attributes, other->attributes);
      if (leads_on) {
        left.push_back({one->node, other->node, path + "/"});
      } else {
        changes.push_back(path);
      }
    }
  }
  return changes;
}

}  // namespace agentfs
