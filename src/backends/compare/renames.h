// SPDX-License-Identifier: MIT
// Which of the deleted files are the added ones under another name.
#pragma once

#include <vector>

#include "backends/compare/content.h"
#include "backends/compare/directory_renames.h"

namespace agentfs::compare {

// Makes one change out of each pair of a deleted and an added file that are one renamed: by inode
// and times, by equal bytes, then by similar ones (of empty files by inode alone). Of equal
// candidates the one with the same last name is taken, else the first. Links are paired by their
// targets.
Status find_renames(std::vector<PathChange>& changes, PathFinder& before, PathFinder& after,
                    const CompareOptions& options);

// Makes one change, too, out of each pair of empty files of which the one was deleted where the
// other would be with the renamed directory above it: no bytes tell that they are one file.
Status find_empty_renames(std::vector<PathChange>& changes, const DirectoryRenames& renamed,
                          const TreeSide& before, const TreeSide& after,
                          const CompareOptions& options);

// What is deleted comes before what takes its place.
void sort_by_path(std::vector<PathChange>& changes);

// As TreeComparer::changes.
Result<std::vector<PathChange>> changes_between(const TreeSide& before, const TreeSide& after,
                                                const CompareOptions& options);

}  // namespace agentfs::compare
