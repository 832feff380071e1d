// SPDX-License-Identifier: MIT
#include "kernel/tracked_paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "kernel/git_index.h"

namespace agentfs {
namespace {

constexpr mode_t kSubmodule = 0160000;

const std::string& path_of(const TrackedPaths::Away& away) { return away.path.path; }

}  // namespace

Result<TrackedPaths> TrackedPaths::parse(std::string_view index) {
  TrackedPaths tracked;
  TRY(read_index(index, [&](const IndexEntry& entry) {
    std::string_view path = entry.path;
    if (path.ends_with('/')) path.remove_suffix(1);  // a directory as a whole
    if (!is_in_worktree(path)) return;
    if (S_ISREG(entry.mode) || S_ISLNK(entry.mode)) tracked.paths_.emplace_back(path);
    const bool may_be_away = entry.is_away || entry.mode == kSubmodule;
    // git makes no tree of an index with another mode, which an agent can write.
    if (!may_be_away || entry.is_staged || !is_tree_mode(entry.mode)) return;
    tracked.away_.push_back(
        {.path = {.mode = entry.mode, .id = text::hex(entry.id), .path = std::string(path)},
         .is_submodule = !entry.is_away});
  }));
  std::ranges::sort(tracked.away_, {}, path_of);
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
  TrackedPaths unknown;
  unknown.is_known_ = false;
  return unknown;
}

bool TrackedPaths::contains(std::string_view path) const {
  return std::binary_search(paths_.begin(), paths_.end(), path);
}

bool TrackedPaths::has_submodule(std::string_view path) const {
  const auto at = std::ranges::lower_bound(away_, std::string(path), {}, path_of);
  return at != away_.end() && path_of(*at) == path && at->path.mode == kSubmodule;
}

std::vector<std::string> TrackedPaths::submodules() const {
  std::vector<std::string> paths;
  for (const Away& one : away_) {
    if (one.path.mode == kSubmodule) paths.push_back(one.path.path);
  }
  return paths;
}

std::vector<std::string> TrackedPaths::submodules_in(std::string_view directory) const {
  std::vector<std::string> paths;
  const std::string start = fmt::format("{}/", directory);
  for (std::string& path : submodules()) {
    if (path == directory || path.starts_with(start)) paths.push_back(std::move(path));
  }
  return paths;
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

std::vector<TrackedPaths::Away> TrackedPaths::away_about(
    const std::vector<std::string>& paths) const {
  const auto first_from = [&](std::string_view path) {
    return std::ranges::lower_bound(away_, std::string(path), {}, path_of);
  };
  std::set<std::vector<Away>::const_iterator> about;
  for (const std::string& path : paths) {
    if (path.empty()) return away_;
    for (auto above = text::parent_part(path); !above.empty(); above = text::parent_part(above)) {
      const auto at = first_from(above);
      if (at != away_.end() && path_of(*at) == above) about.insert(at);
    }
    // Between it and what is below it there may be others, as "a-b" is between "a" and "a/b".
    for (auto at = first_from(path); at != away_.end() && path_of(*at).starts_with(path); ++at) {
      const std::string& found = path_of(*at);
      if (text::is_in(found, path)) about.insert(at);
    }
  }
  std::vector<Away> found;
  for (const auto& at : about) found.push_back(*at);
  return found;
}

std::vector<std::string> TrackedPaths::away_unlike(const TrackedPaths& other) const {
  std::vector<std::string> paths;
  for (const Away& one : away_) {
    const auto theirs = std::ranges::lower_bound(other.away_, one.path.path, {}, path_of);
    if (theirs == other.away_.end() || theirs->path != one.path) paths.push_back(one.path.path);
  }
  return paths;
}

std::vector<std::string> TrackedPaths::away_only_here(const TrackedPaths& other) const {
  std::vector<std::string> paths;
  for (const Away& one : away_) {
    const std::string& path = one.path.path;
    if (!std::ranges::binary_search(other.away_, path, {}, path_of)) paths.push_back(path);
  }
  return paths;
}

}  // namespace agentfs
