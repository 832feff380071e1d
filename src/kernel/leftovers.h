// SPDX-License-Identifier: MIT
// What a crash left of files that lay ready to be renamed over others (base/temporary_name.h).
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/file.h"
#include "base/mutex.h"

namespace agentfs {

class Kernel;

// STATE/temporaries: the paths of files that may lie ready, each ended by NUL; written before one
// is made, emptied when none is under way. Threads: all.
class Temporaries {
 public:
  explicit Temporaries(std::string file) : file_(std::move(file)) {}
  // From begin() on `path` of the mount may be there; after end() it is not, or has another name.
  Status begin(const std::string& path);
  void end(const std::string& path);  // as it was begun
  // A directory has another name, or two have each other's: so have those that lie ready below.
  void follow(const std::string& from, const std::string& to, bool is_exchange);
  // Whether it is one of those, or was at the start: what happens to it is told as what comes of
  // it.
  bool lies_ready(const std::string& path) const;
  // Whether it lay ready until settle() removed it: nothing has come of it.
  bool was_removed(const std::string& path) const;
  // At a start, with nobody at work: those that are there are removed. What they hold is, as far as
  // they hold it, in the past or in the call that was to write it. Never fails: what cannot be
  // removed is told in the log.
  void settle(Kernel& kernel);

 private:
  Status note(const std::string& path) REQUIRES(mutex_);

  const std::string file_;
  mutable Mutex<Rank::store> mutex_;
  UniqueFd fd_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> under_way_ GUARDED_BY(mutex_);  // as begun, and where it is
  std::set<std::string> left_ GUARDED_BY(mutex_);                    // by a crash
  std::set<std::string> removed_ GUARDED_BY(mutex_);                 // of these
};

}  // namespace agentfs
