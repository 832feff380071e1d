// SPDX-License-Identifier: MIT
// In which order changes are told: those of one name as they were made, and a rollback's between
// those of what was changed before it and of what was changed in the tree that it has brought back.
// Inside vfs only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <string>
#include <thread>

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
  // Of the names that a change is of: from before it looks at what has them until its row is
  // written nobody else's is. The host's kernel sees to that where it makes, removes or renames;
  // not where a file is opened to be emptied, and not between these and what the daemon does itself
  // (a restore, a merge, an agent's write). Both names are had at once, so that nobody waits for
  // one with the other; a thread that has one may take it again.
  class Turn {
   public:
    Turn(ChangeOrder& order, std::string path, std::string other)
        : order_(order), path_(std::move(path)), other_(std::move(other)) {
      order_.take(path_, other_);
    }
    ~Turn() { order_.leave(path_, other_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    ChangeOrder& order_;
    const std::string path_, other_;  // "": none
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
  void take(const std::string& path, const std::string& other) EXCLUDES(names_mutex_);
  void leave(const std::string& path, const std::string& other) EXCLUDES(names_mutex_);
  bool is_anothers(const std::string& path) const REQUIRES(names_mutex_);
  void release(const std::string& path) REQUIRES(names_mutex_);

  struct Holder {
    std::thread::id thread{};
    int times = 0;
  };
  Mutex<Rank::object> mutex_;
  std::condition_variable_any changed_;
  int changes_ GUARDED_BY(mutex_) = 0;
  bool is_whole_ GUARDED_BY(mutex_) = false;
  Mutex<Rank::object> names_mutex_;
  std::condition_variable_any left_;
  std::map<std::string, Holder> names_ GUARDED_BY(names_mutex_);
  int waiting_ GUARDED_BY(names_mutex_) = 0;
};

}  // namespace agentfs::vfs
