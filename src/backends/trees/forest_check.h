// SPDX-License-Identifier: MIT
// What fsck wants to know of a forest that nobody has open, and what it can mend.
#pragma once

#include <string>
#include <vector>

#include "backends/forest.h"
#include "base/findings.h"

namespace agentfs {

// Is all there that marks and records name? Changes nothing but what open_forest() makes. Costs a
// look at each directory of the trees that were ever forked or kept; the others are left alone.
Result<Findings> check_forest(const std::string& directory, const std::string& hidden,
                              const ForestOptions& options = {});

// Forest::family(), of what can be read.
Result<std::vector<TreeInfo>> look_at_family(const std::string& directory,
                                             const std::string& hidden,
                                             const ForestOptions& options = {});

// Writes anew the marks of roots that cannot be read and of which records leave one possible value:
// which tree a directory is, and what a fork, or a directory of it, that is hollow yet was forked
// at. Sentences about what was done.
Result<std::vector<std::string>> mend_forest_marks(const std::string& directory,
                                                   const std::string& hidden,
                                                   const ForestOptions& options = {});

// After the trees were copied file by file to where they are now: what is complete stays, as trees
// that were never forked; of files that two of them share, or one and what is kept of the past (in
// the records and below the directories `past`), each gets an inode of its own; trees in which
// directories would have to be read from elsewhere, and all records of before, are moved to the
// directory `aside`, of the same filesystem. Sentences about what was done; none where the forest
// is where it was made.
Result<std::vector<std::string>> adopt_copied_forest(const std::string& directory,
                                                     const std::string& hidden,
                                                     const std::string& aside,
                                                     const std::vector<std::string>& past = {},
                                                     const ForestOptions& options = {});

// A file that two trees share by hard links that no forest has made.
struct SharedFile {
  std::string kept{};              // a name of it in the tree that keeps the inode
  std::string tree{};              // another one that has it too
  std::vector<std::string> cut{};  // all of its names there, which get an inode of their own
};
// Of the trees in these directories; the forests' own sharing, of trees that were ever forked or
// kept, is left out, though not what they share with others. One walk.
Result<std::vector<SharedFile>> find_shared_files(const std::vector<std::string>& directories,
                                                  const ForestOptions& options = {});
// The names in `cut` become names of one copy, with mode, owner, times and attributes. Done again
// after a crash, it ends what was begun, if `scratch` is the same directory: one of ours on that
// filesystem, made where it is not.
Status cut_shared_file(const SharedFile& file, const std::string& scratch,
                       const ForestOptions& options = {});

}  // namespace agentfs
