// SPDX-License-Identifier: MIT
// What a merge does with one file, seen for itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backends/compare/content.h"
#include "backends/compare/directory_renames.h"
#include "backends/merge.h"

namespace agentfs::compare {

// An action, a conflict or, where ours is already as it should be, neither.
struct Decision {
  std::optional<MergeAction> action{};
  std::optional<MergeConflict> conflict{};
};

// Not shared between threads.
class Decider {
 public:
  // What leads from base to ours, and the directories that each side has renamed. Outlives this.
  struct Known {
    const std::vector<PathChange>& ours;
    const DirectoryRenames& ours_directories;
    const DirectoryRenames& theirs_directories;
  };
  Decider(const MergeSides& sides, const Known& known, const CompareOptions& options);

  // Of a change from base to theirs.
  Result<Decision> leaf(const PathChange& theirs);
  Result<Decision> added_directory(const PathChange& theirs);
  Result<Decision> directory(const PathChange& theirs);  // its permissions and attributes
  // Of a directory that theirs has removed or renamed; neither: it may go.
  Decision deleted_directory(const PathChange& theirs) const;
  // Nothing where ours left the file of that path in base alone.
  const PathChange* ours_change_of(std::string_view base_path) const;
  PathFinder& ours() { return ours_; }
  PathFinder& theirs() { return theirs_; }
  RenamedPlaces& places() { return places_; }  // of what theirs has, in ours

 private:
  // The three versions of one file, and what each side did to it.
  struct Versions {
    const PathChange& theirs;
    std::string ours_path{};
    FileState ours{};
    std::string place{};  // where what theirs has renamed goes
    bool ours_content = false;
    bool ours_attributes = false;
  };

  Result<Decision> added(const PathChange& theirs);
  Result<Decision> deleted(const PathChange& theirs);
  Result<bool> are_dressed_alike(const PathChange& theirs, const std::string& place);
  Result<bool> is_as_base(const PathChange& theirs);
  Result<bool> is_recorded_apart(const PathChange& theirs);
  Result<Decision> moved_into_each_other(const PathChange& theirs);
  Result<Decision> changed(const PathChange& seen);
  static bool is_one_retyped_and_one_dressed(const Versions& versions);
  Result<Decision> combined(const Versions& versions);
  Result<Decision> both(const Versions& versions);
  Result<Decision> both_changed(const Versions& versions, MergeAction action);
  // Whether ours is to have some of theirs; a conflict where both have changed the same one.
  Result<Decision> attributes(const Versions& versions, bool& takes);
  Result<bool> is_same(const PathChange& theirs, std::string_view ours_path);

  PathFinder base_;
  PathFinder ours_;
  PathFinder theirs_;
  using Changes = std::unordered_map<std::string_view, const PathChange*>;  // by path in base
  Changes ours_changes_;
  Changes ours_directories_;  // what is one in both
  RenamedPlaces places_;
  const DirectoryRenames& theirs_directories_;
  const CompareOptions& options_;
};

// A conflict about theirs' change with what ours has at `ours_path` ("": nothing).
MergeConflict conflict_of(const PathChange& theirs, const std::string& ours_path,
                          const FileState& ours);

// The three versions as one text. Without a base, that is empty. EFBIG, or ENOTSUP for what
// is no text.
struct ThreeLeaves {
  std::optional<Leaf> base{};
  Leaf ours{};
  Leaf theirs{};
};
struct MergedLeaf {
  std::string text{};
  bool is_clean = false;
  bool is_ours = false;       // ours has it all already
  bool is_base_lost = false;  // what is in the text of it is not known
};
Result<MergedLeaf> merge_leaves(const ThreeLeaves& leaves, std::int64_t largest);

}  // namespace agentfs::compare
