// SPDX-License-Identifier: MIT
// What files hold, as far as it has been asked. Inside vfs only.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "backends/tree_store.h"
#include "base/error.h"
#include "base/mutex.h"

namespace agentfs::vfs {

// user.agentfs.hash: computed when it is asked for. Threads: all.
class ContentHashes {
 public:
  static constexpr std::size_t kMost = 16'384;
  static constexpr int kAtOnce = 16;  // each takes as long as its file has bytes, and a thread
  // Of an open file that is in this state. EBUSY as for what is read of it, EAGAIN where so many
  // are computed, EINTR once `is_unwanted`.
  Result<std::string> of(const TreeFile& file, const struct stat& now,
                         const std::function<bool()>& is_unwanted) EXCLUDES(mutex_);

 private:
  struct Known {
    off_t size = 0;
    timespec modified{};
    timespec changed{};
    std::string hash{};
    bool is_of(const Known& other) const {
      return size == other.size && modified.tv_sec == other.modified.tv_sec &&
             modified.tv_nsec == other.modified.tv_nsec && changed.tv_sec == other.changed.tv_sec &&
             changed.tv_nsec == other.changed.tv_nsec;
    }
  };
  Mutex<Rank::object> mutex_;
  std::unordered_map<std::uint64_t, Known> all_ GUARDED_BY(mutex_);  // by inode number
  std::atomic<int> under_way_ = 0;
};

}  // namespace agentfs::vfs
