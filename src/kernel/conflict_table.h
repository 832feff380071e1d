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

#include "base/mutex.h"

namespace agentfs {

struct MergeConflicts;
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
