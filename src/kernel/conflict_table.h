// SPDX-License-Identifier: MIT
// Which trees are merged, or otherwise dealt with as a whole, and what is left of the last merge.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/forest.h"
#include "backends/merge.h"
#include "base/mutex.h"

namespace agentfs {

// The paths that the last merge into a root left as they were, numbered from 1. Immutable. Stored
// as STATE/merge-conflicts/<forest>.<tree>. They go with their tree where that is renamed, and end
// where it, or what was merged, is discarded, or rolled back to before the merge; those of a merge
// that was refused with each rollback. After another one those that had been ended are left again.
struct MergeConflicts {
  std::uint32_t from = 0;  // the tree that was merged, by its number
  SnapshotId base{};
  MergeSides sides{};
  bool is_partial = false;  // of a merge that took what was clean; else of one that was refused
  std::map<std::uint64_t, MergeConflict> left{};
  std::uint64_t last = 0;  // number that was given
  // Ended by resolve(): the next merge of the two, if base and theirs are as they were, does not
  // ask again.
  std::vector<MergeConflict> settled{};
  // By the path of a conflict that was ended: the newest states of ours then, of several where
  // rollbacks opened it again. In what one of these led to it is ended.
  std::map<std::string, std::vector<std::uint64_t>> ended_after{};
  // Of a partial merge: what the next one begins from once none is left.
  SnapshotId state{};
  SnapshotId theirs{};  // what theirs is read from; none: from the tree, as it is now
  // Of such a merge, the newest state of ours before it; nothing: of an earlier build.
  std::optional<std::uint64_t> after{};
};
using MergeConflictsRef = std::shared_ptr<const MergeConflicts>;

// One conflict by its number, or all, or those of what is ignored and not tracked.
struct ConflictChoice {
  std::optional<std::uint64_t> one{};
  bool ignored_alone = false;
};

// Threads: all.
class ConflictTable {
 public:
  using All = std::map<std::string, MergeConflictsRef>;  // by forest and tree: "workspaces.12"
  // From begin() to end() a merge into the root is under way; false where one is already. What
  // others have to do with the whole tree is waited for.
  bool begin(const std::string& root);
  void wait_and_begin(const std::string& root);  // for those others
  bool try_to_begin(const std::string& root);    // for them, too; false where it would wait
  void end(const std::string& root);
  bool is_busy(const std::string& root) const;
  MergeConflictsRef find(const std::string& tree) const;  // null: none
  void set(const std::string& tree, MergeConflictsRef conflicts);
  All all() const;

 private:
  mutable Mutex<Rank::object> mutex_;
  std::condition_variable_any ended_;
  All all_ GUARDED_BY(mutex_);
  std::map<std::string, bool> busy_ GUARDED_BY(mutex_);  // by root: is it a merge?
};

// While it lives no merge into the root is under way: what copies or replaces a whole tree waits.
class MergePause {
 public:
  MergePause(ConflictTable& table, std::string root) : table_(table), root_(std::move(root)) {
    table_.wait_and_begin(root_);
  }
  ~MergePause() { table_.end(root_); }
  MergePause(const MergePause&) = delete;
  MergePause& operator=(const MergePause&) = delete;

 private:
  ConflictTable& table_;
  const std::string root_;
};

}  // namespace agentfs
