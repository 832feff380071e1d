// SPDX-License-Identifier: MIT
#include "kernel/merges.h"

namespace agentfs {

bool ConflictTable::begin(const std::string& root) {
  Lock lock(mutex_);
  return merging_.insert(root).second;
}

void ConflictTable::end(const std::string& root) {
  Lock lock(mutex_);
  merging_.erase(root);
}

MergeConflictsRef ConflictTable::find(const std::string& root) const {
  Lock lock(mutex_);
  const auto found = all_.find(root);
  return found == all_.end() ? nullptr : found->second;
}

void ConflictTable::set(const std::string& root, MergeConflictsRef conflicts) {
  Lock lock(mutex_);
  std::swap(all_[root], conflicts);  // the old one is dropped after the lock
}

void ConflictTable::resolve(const std::string& root, std::uint64_t number) {
  MergeConflictsRef old = find(root);
  if (old == nullptr) return;
  auto next = std::make_shared<MergeConflicts>(*old);
  next->left.erase(number);
  set(root, std::move(next));
}

}  // namespace agentfs
