// SPDX-License-Identifier: MIT
#include "kernel/tracked_paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "base/text.h"
#include "kernel/git_index.h"

namespace agentfs {

Result<TrackedPaths> TrackedPaths::parse(std::string_view index) {
  TrackedPaths tracked;
  TRY(read_index(index, [&](const IndexEntry& entry) {
    if (S_ISREG(entry.mode) || S_ISLNK(entry.mode)) tracked.paths_.emplace_back(entry.path);
  }));
  // As they are; but for the stages of a conflict, which are one path.
  std::sort(tracked.paths_.begin(), tracked.paths_.end());
  const auto twice = std::ranges::unique(tracked.paths_);
  tracked.paths_.erase(twice.begin(), twice.end());
  return tracked;
}

Result<TrackedPaths> TrackedPaths::read(TreeStore& store, const TreeNode& root) {
  const auto index = TRY(index_of(store, root));
  return index ? parse(index->bytes) : TrackedPaths();
}

TrackedPaths TrackedPaths::of(TreeStore& store, const TreeNode& root) {
  auto tracked = read(store, root);
  if (tracked) return *std::move(tracked);
  log::warning(".git/index: not known what it tracks: {}", tracked.error().message);
  return {};
}

bool TrackedPaths::contains(std::string_view path) const {
  return std::binary_search(paths_.begin(), paths_.end(), path);
}

std::vector<std::string> TrackedPaths::below(std::string_view directory) const {
  const std::string start = fmt::format("{}/", directory);
  const auto first = std::ranges::lower_bound(paths_, start);
  const auto last = std::find_if_not(
      first, paths_.end(), [&](const std::string& path) { return path.starts_with(start); });
  return {first, last};
}

std::vector<std::string> TrackedPaths::missing_in(const TrackedPaths& other) const {
  std::vector<std::string> missing;
  std::ranges::set_difference(paths_, other.paths_, std::back_inserter(missing));
  return missing;
}

}  // namespace agentfs
