// SPDX-License-Identifier: MIT
// Which of several descriptors saved a document last.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/mutex.h"

namespace agentfs::vfs {

// Moments are numbers that grow. Threads: all.
class SaveOrder {
 public:
  // Held by who saves, from the look at what there is to the end.
  Mutex<Rank::document>& saving() { return saving_; }
  std::uint64_t now() const {
    const Lock lock(mutex_);
    return last_;
  }
  void saved(const std::string& path) {
    const Lock lock(mutex_);
    saves_[path] = ++last_;
  }
  bool was_saved_after(const std::string& path, std::uint64_t moment) const {
    const Lock lock(mutex_);
    const auto found = saves_.find(path);
    return found != saves_.end() && found->second > moment;
  }

 private:
  Mutex<Rank::document> saving_;
  mutable Mutex<Rank::queue> mutex_;
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, std::uint64_t> saves_ GUARDED_BY(mutex_);  // one a document
};

}  // namespace agentfs::vfs
