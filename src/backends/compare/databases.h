// SPDX-License-Identifier: MIT
// Files that are one: a database of SQLite and what lies beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "backends/compare/content.h"
#include "backends/merge.h"

namespace agentfs::compare {

// What one side has in the database and the other in its write-ahead log or journal are changes of
// one thing: put together by files the log would be played back over a database that it is not of,
// and what is in that is lost. (https://www.sqlite.org/fileformat2.html, "Hot Journals" and
// "The Write-Ahead Log".) Not shared between threads.
class Databases {
 public:
  Databases(const MergeSides& sides, const std::vector<PathChange>& ours_changes);  // outlive this
  // False, of most merges always: no side has changed a log, so nothing has to be looked for.
  bool may_be_apart(const PathChange& theirs) const;
  // Of a change of theirs, whose path is `place` in ours: another file of the same database, which
  // ours has changed.
  Result<std::optional<std::string>> changed_in_ours(const PathChange& theirs,
                                                     const std::string& place);

 private:
  Result<bool> is_database(const std::string& path);

  std::vector<PathFinder> sides_;
  std::unordered_set<std::string_view> changed_;  // paths of ours
  bool has_log_ = false;                          // is one among them?
};

}  // namespace agentfs::compare
