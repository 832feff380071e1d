// SPDX-License-Identifier: MIT
// The last reply of each file to each session, for programs that open afresh for each command.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/mutex.h"

namespace agentfs::vfs {

using Text = std::shared_ptr<const std::string>;

// Threads: all. Bounded: the slots used longest ago go first, past 1,024 of them or 64 MiB in all.
class ReplySlots {
 public:
  static constexpr std::size_t kSlots = 1024;
  static constexpr std::size_t kBytes = 64U << 20U;

  void put(const std::string& slot, std::string text);
  Text find(const std::string& slot);  // null where there is none
  std::size_t bytes() const;

 private:
  struct Slot {
    std::string name;
    Text text;
  };
  using Order = std::list<Slot>;  // the newest first
  void drop_oldest(Order& dropped) REQUIRES(mutex_);

  mutable Mutex<Rank::queue> mutex_;
  Order order_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Order::iterator> slots_ GUARDED_BY(mutex_);
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace agentfs::vfs
