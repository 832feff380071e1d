// SPDX-License-Identifier: MIT
// Who waits by poll(2) for a newer version of a file.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"

namespace agentfs::vfs {

// Threads: all. One callback a descriptor: a newer one takes the place of the older.
class Watchers {
 public:
  using Ready = std::move_only_function<void()>;
  void add(const std::string& path, const void* descriptor, Ready ready);
  void remove(const std::string& path, const void* descriptor);
  // Those who wait for `path`; they wait no more.
  std::vector<Ready> take(const std::string& path);

 private:
  struct Watcher {
    const void* descriptor = nullptr;
    Ready ready;
  };
  Mutex<Rank::queue> mutex_;
  std::unordered_map<std::string, std::vector<Watcher>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
