// SPDX-License-Identifier: MIT
// Data trees that can be forked, kept and taken back at once, whatever their size.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/lender.h"
#include "backends/tree_store.h"

namespace agentfs {

// A state of a tree as it was: the tree's number and which of its states.
struct SnapshotId {
  std::uint32_t tree = 0;
  std::uint64_t sequence = 0;
  friend auto operator<=>(const SnapshotId&, const SnapshotId&) = default;
};

struct SnapshotInfo {
  SnapshotId id{};
  std::string label{};
  std::int64_t time = 0;      // nanoseconds since 1970
  bool hidden = false;        // the point that a fork was made at, or dropped and still depended on
  bool was_replaced = false;  // by a rollback, which it undoes
};

// A tree that was forked or is a fork. `name` is empty for one that was dropped or removed and that
// others still depend on.
struct TreeInfo {
  std::string name{};
  std::uint32_t number = 0;
  std::optional<SnapshotId> base{};  // what it was forked at
  bool has_sources = false;          // states that it may still read through
  std::vector<SnapshotInfo> snapshots{};
};

// A path in which two directories differ. Directories that both have are descended into: of them
// only a change of attributes is told.
struct Difference {
  enum class Kind { added, removed, changed };
  Kind kind = Kind::changed;
  std::string path{};  // relative, without a leading slash
  TreeNodeRef before{};
  TreeNodeRef after{};
};

// No tree gets a name that begins so; those of imports have one that begins with the other.
inline constexpr std::string_view kOwnNames = ".agentfs";
inline constexpr std::string_view kHiddenTree = ".agentfs-host.";

struct ForestCounts {
  std::uint64_t filled = 0;    // directories of forks made solid
  std::uint64_t saved = 0;     // directories kept for snapshots before they changed
  std::uint64_t linked = 0;    // files linked for either
  std::uint64_t unshared = 0;  // files that got an inode of their own
  std::uint64_t copied = 0;    // bytes copied for that
  std::uint64_t searched = 0;  // trees that were walked for a file's other names
  std::uint64_t looked = 0;    // names that were looked at for that
  std::uint64_t ahead = 0;     // of these files, those that were copied before anybody had to wait
};

struct ForestOptions {
  std::size_t descriptors = 1024;  // as TreeOptions
  bool file_handles = true;
  // False: keep marks in user.*, as a daemon that is not root does, and root's where one has begun.
  bool trusted = true;
  const Lender* lender = nullptr;  // of files whose bytes lie elsewhere; outlives the forest
  bool keeps_room = false;         // a part of the disk, for removals once it is full
  // Of what is done to a large directory before its first change, so long at once, while all others
  // wait; one entry at least.
  std::chrono::nanoseconds part = std::chrono::milliseconds(4);
};

// A store over a directory whose directories at the top are the trees. What open_tree_store()
// promises holds for each; a tree that was never forked is a plain directory and costs no more.
//
// How. The directory of a tree that was forked stays where it is. Before one of its directories
// changes for the first time since the newest snapshot, it is saved: a directory of its own in the
// hidden room gets a hard link to each file, under the directory's identity and the snapshot's
// number. A snapshot reads what was saved at its number or the next later one, else the live
// directory, which then has not changed since. A fork begins as one empty directory with a mark of
// where to read; before a directory of it changes, it is filled with hard links, and its
// directories become marked ones. Before a file that is shared by such links changes, the name in
// the tree that writes gets a new inode, and open files are redirected to it.
//
// Inode numbers: of trees that are no forks the disk's; else the tree's number above 32 bits of the
// file's, the same in a fork as in its parent, across restarts and unsharing. st_ctime and
// st_nlink are those of the tree alone.
//
// Snapshots can be read only (EROFS). After a rollback or drop, open files and nodes of the old
// state can be read; changing through them is ESTALE. Hard links between trees are EXDEV; so
// are renames, but for a file of one name between trees that were never forked.
//
// Threads: all. Crashes: each call is complete or has not happened, whenever the process ends.
class Forest : public TreeStore {
 public:
  // The state of `tree` from now on kept; the label is the caller's.
  virtual Result<SnapshotId> snapshot(const std::string& tree, const std::string& label) = 0;
  // A new tree `name` that is `tree` as it is now (the answer is that state), or as it was.
  virtual Result<SnapshotId> fork(const std::string& tree, const std::string& name) = 0;
  virtual Status fork(SnapshotId state, const std::string& name) = 0;
  // The tree becomes what one of its own snapshots kept. The state before is a snapshot too: the
  // answer, with which the rollback can be undone; `label` is its.
  virtual Result<SnapshotId> rollback(const std::string& tree, SnapshotId state,
                                      const std::string& label = "before rollback") = 0;
  // Removed at once for all who look; the disk's room comes back by collect(), when nothing
  // depends on it any more. `tell` is called, with no lock held, when a tree that has states is out
  // of its place and nothing else has happened; where it fails the tree has its place again, and so
  // it has at a start after a crash in it.
  virtual Status drop(const std::string& tree, const std::function<Status()>& tell = {}) = 0;
  virtual Status drop(SnapshotId state) = 0;
  // Removes what nothing depends on; how many directories it freed. For a thread that may wait.
  virtual Result<std::size_t> collect() = 0;
  // Whether there may be something that no collect() has tried: what was given up since the last.
  virtual bool is_loose() const = 0;

  virtual Result<TreeNodeRef> snapshot_root(SnapshotId state) = 0;
  // The root of a tree that is there now. Trees whose name begins with kHiddenTree are found by
  // this and the calls that name a tree alone: lookups at the top and its listing do not know them,
  // and no entry there can get such a name (EPERM). `make`: an empty one, where there is none.
  virtual Result<TreeEntry> tree(const std::string& name, bool make = false) = 0;
  virtual std::vector<TreeInfo> family() const = 0;
  // Of one that is there now; nothing, too, of one of which there never was a state.
  virtual std::optional<TreeInfo> info(const std::string& name) const = 0;
  virtual std::optional<TreeInfo> info(std::uint32_t number) const = 0;
  // Makes a directory a plain one on disk, for tools that look there; `whole`: all below it too,
  // lent files included. Of a lent file: it gets its bytes.
  virtual Status solidify(const TreeNode& directory, bool whole) = 0;
  // Whether all of two directories is known to be the same, without looking: both are read from
  // one place.
  virtual bool is_same(const TreeNode& before, const TreeNode& after) = 0;
  // Of two directories the names, in order, under which not both have one file of the disk.
  virtual Result<std::vector<std::string>> names_that_differ(const TreeNode& before,
                                                             const TreeNode& after) = 0;
  // What differs from `before` to `after`, until `each` says false. Subtrees that both read from
  // one place, and files of one inode, are not looked into.
  virtual Status compare(const TreeNode& before, const TreeNode& after,
                         const std::function<bool(const Difference&)>& each) = 0;
  virtual ForestCounts counts() const = 0;
};

// `hidden` is made where it is not; it must be on the directory's filesystem, and not in it. What a
// crash left half done is undone or completed.
Result<std::unique_ptr<Forest>> open_forest(const std::string& directory, const std::string& hidden,
                                            const ForestOptions& options = {});

}  // namespace agentfs
