// SPDX-License-Identifier: MIT
// The directories that one side of a merge has under another name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compare/content.h"
#include "base/text.h"

namespace agentfs::compare {

// Of the directories above a path the innermost that `among` has; its end(): it has none.
template <class Paths>
auto innermost_above(const Paths& among, std::string_view path) {
  auto found = among.end();
  for (auto at = text::parent_part(path); !at.empty() && found == among.end();
       at = text::parent_part(at)) {
    found = among.find(at);
  }
  return found;
}

struct DirectoryRename {
  std::string from{};
  std::string to{};
  // Where a path below `from` lies below `to`.
  std::string follow(std::string_view path) const {
    return to + std::string(path.substr(from.size()));
  }
};

// Of what leads from one tree to another: a directory that is gone from its path and whose inode is
// that of a new one (`lasting_inodes`), or of whose files more than half of those that are gone
// from it have gone to one and the same other, into directories of the same names below it. git
// asks for the most alone (merge.directoryRenames).
class DirectoryRenames {
 public:
  DirectoryRenames() = default;
  DirectoryRenames(const std::vector<PathChange>& changes, bool lasting_inodes);

  bool empty() const { return by_from_.empty(); }
  // The innermost whose `from`, or `to`, the path lies below; null: there is none.
  const DirectoryRename* of(std::string_view path) const { return find(by_from_, path); }
  const DirectoryRename* to(std::string_view path) const { return find(by_to_, path); }
  // Where the directory itself was before; null: it was not renamed.
  const DirectoryRename* back(std::string_view directory) const;
  // Of the innermost the one that was made: it may have gone along with one above it.
  const DirectoryRename* made_of(std::string_view path) const;
  // Whether what went from one path to the other did so with a directory above it, and no more.
  bool take(std::string_view from, std::string_view to) const;

 private:
  using Names = std::map<std::string, DirectoryRename, std::less<>>;
  static const DirectoryRename* find(const Names& names, std::string_view path);
  void add_by_inode(const std::vector<PathChange>& changes);
  void add_by_files(const std::vector<PathChange>& changes);
  void add(const std::string& from, const std::string& to);

  Names by_from_;
  Names by_to_;  // the same the other way round
};

// Of a file that both sides have under another name: where it goes, since one of the two has
// renamed no more than a directory above it, or both have, one of them a directory in that of the
// other. Nothing where it is the same directory, or neither has.
struct TwoNames {
  std::string_view base{};
  std::string_view ours{};
  std::string_view theirs{};
};
std::optional<std::string> place_of(const TwoNames& names, const DirectoryRenames& ours,
                                    const DirectoryRenames& theirs);

// A path of a side as base would have it, where the other side has renamed a directory in one that
// this side has: then that one's rename is to be followed first. Else the path itself.
std::string before_outer(const std::string& path, const DirectoryRenames& own,
                         const DirectoryRenames& other);

// Where a path of a side is by the directories that the other side has renamed.
std::string place_by(const std::string& path, const DirectoryRenames& own,
                     const DirectoryRenames& other);

// Whether one side has moved the directory into one that the other has moved into it.
bool lead_into_each_other(const DirectoryRename& one, const DirectoryRenames& other);

struct ThreeFinders {
  PathFinder& base;
  PathFinder& ours;
  PathFinder& theirs;
};
// Whether a directory that is new in theirs is one of base under another name, as it was, which
// ours has elsewhere or not at all: then it is needed for what comes into it, and for nothing else.
// An empty one is where no more than a directory above it was renamed.
Result<bool> is_brought_by_files(const PathChange& made, const DirectoryRenames& theirs_renamed,
                                 const ThreeFinders& in);

// Where one side has, or would have, what the other has: in the directory that it has renamed,
// unless the other has something under that name, too. Not shared between threads.
class RenamedPlaces {
 public:
  // All outlive it.
  RenamedPlaces(const DirectoryRenames& renamed, const DirectoryRenames& others,
                const TreeSide& other)
      : renamed_(renamed), others_(others), other_(other) {}

  Result<std::string> place_of(const std::string& path);
  // The other's directory for one that is needed at a place; "": it has none.
  Result<std::string> directory_for(const std::string& place);
  const DirectoryRenames& renamed() const { return renamed_; }

 private:
  const DirectoryRenames& renamed_;
  const DirectoryRenames& others_;
  PathFinder other_;
};

}  // namespace agentfs::compare
