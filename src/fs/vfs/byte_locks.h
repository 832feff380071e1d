// SPDX-License-Identifier: MIT
// Who changes the bytes of a file, and who takes them for the past. Inside vfs only.
#pragma once

#include <array>
#include <functional>
#include <shared_mutex>

#include "backends/tree_store.h"
#include "base/mutex.h"

namespace agentfs::vfs {

// Held while bytes change; by who links them into the past, alone.
using ByteLock = SharedMutex<Rank::bytes>;
using Changing = std::shared_lock<ByteLock>;

// Each is that of some files: one for each of them would be larger than its node.
class ByteLocks {
 public:
  ByteLock& of(const TreeNode& file) {
    return locks_[std::hash<const TreeNode*>()(&file) % locks_.size()];
  }

 private:
  std::array<ByteLock, 61> locks_{};  // addresses are multiples of 16
};

}  // namespace agentfs::vfs
