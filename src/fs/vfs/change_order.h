// SPDX-License-Identifier: MIT
// In which order changes are told: those of one name as they were made, and a rollback's between
// those of what was changed before it and of what was changed in the tree that it has brought back.
// Inside vfs only.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "base/mutex.h"

namespace agentfs::vfs {

// Changes of single names are under way by many at once; while a whole tree is exchanged and told
// none is, as far as that can be waited for. Threads: all; a change within another is part of it.
class ChangeOrder {
 public:
  // How long is waited for what need not be waited for, by who exchanges or keeps a whole tree, for
  // which all others wait, and by who wants names: one that takes longer, since it copies a large
  // file, may be told on the other side.
  explicit ChangeOrder(std::chrono::milliseconds patience = std::chrono::seconds(1))
      : patience_(patience) {}

  // What a change is of. `whole`: with all below them, as where a directory is renamed.
  struct Names {
    std::string path{};
    std::string other{};  // "": none
    bool whole = false;
    bool operator==(const Names&) const = default;
  };
  // They are asked for anew where they may have become others while the turn was waited for.
  using Naming = std::function<Names()>;

  // Of the names that a change is of: from before it looks at what has them until its row is
  // written nobody else's is, and no directory above them is renamed. The host's kernel sees to
  // that where it makes, removes or renames in one directory; not where a file is opened to be
  // emptied, not where somebody works below a directory that another renames, and not between these
  // and what the daemon does itself (a restore, a merge, an agent's write). Both names are had at
  // once, so that nobody waits for one with the other; a thread that has one may take it again. It
  // waits for another's with one of its own, and a whole for what is under way below it, for as
  // long as its patience allows: then it goes ahead.
  class Turn {
   public:
    Turn(ChangeOrder& order, const Naming& naming);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    const Names& names() const { return names_; }

   private:
    ChangeOrder& order_;
    const bool is_inner_;
    Names names_{};
    bool is_had_ = false;
  };
  // In the turn of who takes a name away: who has found it before looks once more.
  void note_removed() { ++moved_; }

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
  void begin() EXCLUDES(mutex_);
  void end() EXCLUDES(mutex_);
  void begin_whole() EXCLUDES(mutex_);
  void end_whole() EXCLUDES(mutex_);
  // False: it was waited for in vain. `is_inner`: this thread has a turn already.
  bool take(const Names& names, bool is_inner) EXCLUDES(names_mutex_);
  void leave(const Names& names) EXCLUDES(names_mutex_);
  enum class Obstacle : char { none, busy, taken };  // busy: by what need not be waited for
  Obstacle obstacle(const Names& names, bool is_inner) const REQUIRES(names_mutex_);
  Obstacle obstacle_at(const std::string& path, bool whole, bool is_inner) const
      REQUIRES(names_mutex_);
  void hold(const std::string& path, bool whole) REQUIRES(names_mutex_);
  void release(const std::string& path, bool whole) REQUIRES(names_mutex_);

  struct Holder {
    std::thread::id thread{};
    int times = 0;
    int wholes = 0;  // of them
  };
  const std::chrono::milliseconds patience_;
  Mutex<Rank::object> mutex_;
  std::condition_variable_any changed_;
  int changes_ GUARDED_BY(mutex_) = 0;
  bool is_whole_ GUARDED_BY(mutex_) = false;
  Mutex<Rank::object> names_mutex_;
  std::condition_variable_any left_;
  std::map<std::string, Holder, std::less<>> names_ GUARDED_BY(names_mutex_);
  int wholes_ GUARDED_BY(names_mutex_) = 0;  // of all holders
  std::multiset<std::string, std::less<>> awaited_
      GUARDED_BY(names_mutex_){};  // by who wants them whole
  int waiting_ GUARDED_BY(names_mutex_) = 0;
  // Names become others by what is under way with two of them, by exchanges and removals.
  std::atomic<int> moving_ = 0;
  std::atomic<std::uint64_t> moved_ = 0;
};

}  // namespace agentfs::vfs
