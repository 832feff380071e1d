// SPDX-License-Identifier: MIT
#include "kernel/conflict_table.h"

namespace agentfs {

bool ConflictTable::begin(const std::string& root) {
  Lock lock(mutex_);
  for (;;) {
    const auto [found, is_first] = busy_.try_emplace(root, true);
    if (is_first) return true;
    if (found->second) return false;
    ended_.wait(lock);
  }
}

void ConflictTable::wait_and_begin(const std::string& root) {
  Lock lock(mutex_);
  while (!busy_.try_emplace(root, false).second) ended_.wait(lock);
}

bool ConflictTable::try_to_begin(const std::string& root) {
  Lock lock(mutex_);
  return busy_.try_emplace(root, false).second;
}

void ConflictTable::end(const std::string& root) {
  {
    Lock lock(mutex_);
    busy_.erase(root);
  }
  ended_.notify_all();
}

bool ConflictTable::is_busy(const std::string& root) const {
  Lock lock(mutex_);
  return busy_.contains(root);
}

MergeConflictsRef ConflictTable::find(const std::string& tree) const {
  Lock lock(mutex_);
  const auto found = all_.find(tree);
  return found == all_.end() ? nullptr : found->second;
}

void ConflictTable::set(const std::string& tree, MergeConflictsRef conflicts) {
  Lock lock(mutex_);
  std::swap(all_[tree], conflicts);  // the old one is dropped after the lock
}

ConflictTable::All ConflictTable::all() const {
  Lock lock(mutex_);
  return all_;
}

}  // namespace agentfs
