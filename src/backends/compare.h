// SPDX-License-Identifier: MIT
// What differs between two trees: as a list, as one path a line, as a patch that git takes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/tree_store.h"
#include "base/error.h"
#include "base/temporary_name.h"

namespace agentfs {

// A tree as it is read: everything below `root`. The store is the caller's and outlives the call.
struct TreeSide {
  TreeStore* store = nullptr;
  TreeNodeRef root{};
};

// What a path was when it was looked at: enough to see later whether it still is.
struct FileState {
  mode_t mode = 0;  // type and permissions; 0: there is nothing
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t special = 0;  // of a device file, its number
  std::int64_t size = 0;
  std::int64_t modified = 0;  // times in nanoseconds
  std::int64_t changed = 0;
  std::int64_t made = 0;  // of a file of the host's, where its disk tells; 0: not known

  bool exists() const { return mode != 0; }
  mode_t type() const { return mode & S_IFMT; }
  bool is_directory() const { return type() == S_IFDIR; }
  bool is_regular() const { return type() == S_IFREG; }
  friend bool operator==(const FileState&, const FileState&) = default;
};

FileState state_of(const TreeEntry& entry);

// One difference. Paths are relative to the roots, bytes as the disk has them. A file that took
// the place of a directory, or the other way round, is two: one deleted, one added.
struct PathChange {
  enum class Kind : char {
    added = 'A',
    deleted = 'D',
    modified = 'M',  // bytes, a device number or permissions
    renamed = 'R',   // and perhaps modified
    retyped = 'T',   // a file became a link, or the like
  };
  Kind kind = Kind::modified;
  bool content = false;     // more than the permissions differ
  bool empty = false;       // a directory that holds nothing to tell of
  bool whole = false;       // stands for everything below it: a .git directory
  bool attributes = false;  // owner, group or extended attributes differ
  int similarity = 100;     // percent; of what was renamed
  std::string path{};       // where it is now; of what was deleted, where it was
  std::string from{};       // where it was; the same path unless renamed
  FileState before{};
  FileState after{};
};

struct CompareOptions {
  // Whether two entries of one path are known to be the same, so that neither is read; of
  // directories, all below them too. Entries of one file (device, low 32 bits of the inode, size
  // and times) are the same in any case.
  std::function<bool(const TreeEntry& before, const TreeEntry& after)> same{};
  // Of two directories the names, in order, that may differ in more than the times: under each
  // other both have one file. An error, or none to ask: any may.
  std::function<Result<std::vector<std::string>>(const TreeNode& before, const TreeNode& after)>
      differing{};
  // A directory named .git: told as one line, compared like any other, or left out.
  enum class GitDirectories { line, inside, hidden };
  GitDirectories git = GitDirectories::line;
  bool attributes = false;  // owners and extended attributes of files and directories, too
  bool renames = true;
  // The low 32 bits of an inode number are never given to another file: the same ones under
  // another name are a rename, however much the bytes differ.
  bool lasting_inodes = false;
  int similarity = 50;              // percent from which two files are one renamed
  std::size_t inexact_files = 500;  // with more candidates on a side, only equal files are paired
  std::int64_t largest = 32 << 20;  // bytes of a file that is read whole into memory
  // Told of each directory that may not be looked into, and that nothing is told of; none: EACCES.
  std::function<void(const std::string& path)> closed{};
  std::function<bool()> cancelled{};  // asked now and then; true ends the call with EINTR
};

// Threads: all; it has no state. Depth and breadth of the trees cost no stack, and memory only for
// the names of the directories that are open and for what differs. What vanishes while it is looked
// at counts as absent. A name never looked at: kMergeDirectory in a root.
// Not compared: times, owners and extended attributes of links and special files, which names are
// hard links of each other.
// Errors: EINTR where `cancelled` says so, the disk's own.
class TreeComparer {
 public:
  virtual ~TreeComparer() = default;

  // What leads from `before` to `after`, ordered by path as git orders it. A directory that was
  // added or deleted is listed, beside what is in it. A file that cannot be read differs from any
  // that has not the same state.
  virtual Result<std::vector<PathChange>> changes(const TreeSide& before, const TreeSide& after,
                                                  const CompareOptions& options) const = 0;

  // One path a line, as `git diff --name-status`: letter, tab, path; a rename has the old path
  // before the new one and its similarity behind the letter. Where permissions differ, one more
  // column "mode 644 755", where owners or extended attributes do, "attributes". Names are quoted
  // as git does by default. A directory ends in "/" and is told only when it is empty or its
  // permissions or attributes changed.
  virtual std::string status(const std::vector<PathChange>& changes) const = 0;

  // A patch that `git apply --binary` takes, handed on in pieces; an error of `sink` ends it. What
  // a patch cannot carry (empty directories, permissions other than the executable bit, special
  // files, .git, what cannot be read) is named in lines that begin with "# " ahead of it, which git
  // skips; a file beyond CompareOptions::largest is named there and as "Binary files … differ", so
  // that git refuses the patch and not only leaves the file out. Holds one file's two versions and
  // its patch at a time.
  struct Patch {
    TreeSide before;
    TreeSide after;
    const std::vector<PathChange>* changes = nullptr;
    CompareOptions options{};
  };
  using Sink = std::function<Status(std::string_view piece)>;
  virtual Status diff(const Patch& patch, const Sink& sink) const = 0;
};

}  // namespace agentfs
