// SPDX-License-Identifier: MIT
#include "backends/compare/databases.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/read_at.h"

namespace agentfs::compare {
namespace {

constexpr std::string_view kHeader{"SQLite format 3\0", 16};
// What holds changes of the database; the index of a log holds none, and goes with it.
constexpr auto kLogs = std::to_array<std::string_view>({"-wal", "-journal"});
constexpr std::string_view kIndex = "-shm";

bool is_log(std::string_view path) {
  return std::ranges::any_of(kLogs, [&](std::string_view end) { return path.ends_with(end); });
}

bool is_beside(std::string_view path) { return is_log(path) || path.ends_with(kIndex); }

std::string database_of(std::string_view path) {
  return std::string(is_beside(path) ? path.substr(0, path.rfind('-')) : path);
}

// An empty log is that of somebody who reads. What is renamed leaves its log, or its database.
bool says_something(const PathChange& change) {
  const bool is_renamed = change.kind == PathChange::Kind::renamed;
  if (change.whole || (change.before.exists() && !change.content && !is_renamed)) return false;
  return !is_beside(change.path) || (change.after.is_regular() && change.after.size > 0);
}

}  // namespace

Databases::Databases(const MergeSides& sides, const std::vector<PathChange>& ours_changes)
    : sides_{PathFinder(sides.base), PathFinder(sides.ours), PathFinder(sides.theirs)} {
  for (const PathChange& change : ours_changes) {
    if (!says_something(change)) continue;
    changed_.insert(change.path);
    if (change.kind == PathChange::Kind::renamed) changed_.insert(change.from);
    has_log_ = has_log_ || is_log(change.path) || is_log(change.from);
  }
}

bool Databases::may_be_apart(const PathChange& theirs) const {
  const bool is_of_log = has_log_ || is_beside(theirs.path) || is_beside(theirs.from);
  return is_of_log && !changed_.empty() && says_something(theirs);
}

Result<std::optional<std::string>> Databases::changed_in_ours(const PathChange& theirs,
                                                              const std::string& place) {
  std::set<std::string> databases{database_of(place), database_of(theirs.path)};
  if (theirs.kind == PathChange::Kind::renamed) databases.insert(database_of(theirs.from));
  std::vector<std::string> others;
  for (const std::string& database : databases) {
    others.push_back(database);
    for (const std::string_view end : kLogs) others.push_back(fmt::format("{}{}", database, end));
  }
  const auto is_other = [&](const std::string& other) {
    const bool is_itself = other == place || other == theirs.path || other == theirs.from;
    return !is_itself && changed_.contains(other);
  };
  const auto found = std::ranges::find_if(others, is_other);
  if (found == others.end()) return std::nullopt;
  for (const std::string& database : databases) {
    if (TRY(is_database(database))) return *found;
  }
  return std::nullopt;
}

Result<bool> Databases::is_database(const std::string& path) {
  for (PathFinder& side : sides_) {
    const auto state = TRY(side.state(path));
    if (!state.is_regular()) continue;
    const Leaf leaf = TRY(side.leaf(path));
    const auto file = leaf.store->open(*leaf.entry.node, O_RDONLY, TreeCaller{});
    if (!file) continue;  // lent, and not as it was
    if (TRY(read_at((*file)->descriptor(), 0, kHeader.size())) == kHeader) return true;
  }
  return false;
}

}  // namespace agentfs::compare
