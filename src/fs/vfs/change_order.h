// SPDX-License-Identifier: MIT
// In which order changes are told: a rollback's row stands between those of what was changed
// before it and of what was changed in the tree that it has brought back. Inside vfs only.
#pragma once

#include <chrono>
#include <condition_variable>

#include "base/mutex.h"

namespace agentfs::vfs {

// Changes of single names are under way by many at once; while a whole tree is exchanged and told
// none is, as far as that can be waited for. Threads: all; a change within another is part of it.
class ChangeOrder {
 public:
  class Change {
   public:
    explicit Change(ChangeOrder& order) : order_(order) { order_.begin(); }
    ~Change() { order_.end(); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    ChangeOrder& order_;
  };
  class Exchange {
   public:
    explicit Exchange(ChangeOrder& order) : order_(order) { order_.begin_whole(); }
    ~Exchange() { order_.end_whole(); }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

   private:
    ChangeOrder& order_;
  };

 private:
  // One that takes longer, since it copies a large file, may be told on the other side.
  static constexpr std::chrono::milliseconds kPatience{100};
  void begin() EXCLUDES(mutex_);
  void end() EXCLUDES(mutex_);
  void begin_whole() EXCLUDES(mutex_);
  void end_whole() EXCLUDES(mutex_);

  Mutex<Rank::object> mutex_;
  std::condition_variable_any changed_;
  int changes_ GUARDED_BY(mutex_) = 0;
  bool is_whole_ GUARDED_BY(mutex_) = false;
};

}  // namespace agentfs::vfs
