// SPDX-License-Identifier: MIT
// Who changes the bytes of a file, and who takes them for the past. Inside vfs only.
#pragma once

#include <array>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "backends/tree_store.h"
#include "base/mutex.h"

namespace agentfs::vfs {

using ByteLock = SharedMutex<Rank::bytes>;

// Each file's own lock, which is there as long as somebody holds it or waits for it: who has one
// may be at work for long, and nobody else's file is to wait. Threads: all.
class ByteLocks {
  struct Entry {
    ByteLock lock;
    std::size_t users = 0;
  };
  struct Shard {
    Mutex<Rank::queue> mutex;
    std::unordered_map<const TreeNode*, Entry> entries GUARDED_BY(mutex);
  };

 public:
  // Held from the beginning, until it ends or another is put into its place. A value.
  template <template <class> class Hold>
  class Held {
   public:
    Held() = default;
    Held(ByteLocks& all, const TreeNode& file)
        : shard_(&all.shard_of(file)), file_(&file), hold_(enter()) {}
    Held(Held&& other) noexcept { swap(other); }
    Held& operator=(Held&& other) noexcept {
      Held(std::move(other)).swap(*this);
      return *this;
    }
    ~Held() {
      if (shard_ == nullptr) return;
      hold_ = {};
      const Lock lock(shard_->mutex);
      const auto entry = shard_->entries.find(file_);
      if (--entry->second.users == 0) shard_->entries.erase(entry);
    }

   private:
    ByteLock& enter() {
      const Lock lock(shard_->mutex);
      Entry& entry = shard_->entries[file_];
      ++entry.users;
      return entry.lock;
    }
    void swap(Held& other) noexcept {
      std::swap(shard_, other.shard_);
      std::swap(file_, other.file_);
      std::swap(hold_, other.hold_);
    }

    Shard* shard_ = nullptr;
    const TreeNode* file_ = nullptr;
    Hold<ByteLock> hold_{};
  };

 private:
  Shard& shard_of(const TreeNode& file) {
    return shards_[std::hash<const TreeNode*>()(&file) % shards_.size()];
  }

  std::array<Shard, 61> shards_{};  // addresses are multiples of 16
};

// While bytes change; and by who links them into the past, alone.
using Changing = ByteLocks::Held<std::shared_lock>;
using ChangingAlone = ByteLocks::Held<std::unique_lock>;

}  // namespace agentfs::vfs
