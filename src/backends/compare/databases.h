// SPDX-License-Identifier: MIT
// Files that are one: a database of SQLite and what lies beside it.
#pragma once

#include <optional>
#include <set>
#include <string>
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
  Databases(const MergeSides& sides, const std::vector<PathChange>& ours_changes);
  // Of a change of theirs, whose path is `place` in ours: another file of the same database, which
  // ours has changed.
  Result<std::optional<std::string>> changed_in_ours(const PathChange& theirs,
                                                     const std::string& place);

 private:
  Result<bool> is_database(const std::string& path);

  std::vector<PathFinder> sides_;
  std::set<std::string, std::less<>> changed_;  // of ours: names that may be of one
};

}  // namespace agentfs::compare
