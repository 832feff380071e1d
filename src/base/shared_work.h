// SPDX-License-Identifier: MIT
// Work that several threads want at once, done once for all who asked before it began.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/mutex.h"
#include "base/waiting.h"

namespace agentfs {

// One work of a key is under way at a time. Who asks meanwhile is not served by it, since it may
// have passed over what has changed by then, but by the next: all who wait for that one share what
// it gives. So n who ask at once have it done at most twice. Threads: all; no lock is held while
// work is done. Value: cheap to copy.
template <class Value>
class SharedWork {
 public:
  // What `work` gives, or the work of another who asked by the same key, begun after this call.
  template <class Work>
  Result<Value> get(const std::string& key, Work&& work) EXCLUDES(mutex_) {
    const auto [turn, is_ours] = join(key);
    if (!is_ours) return wait_for(*turn);
    begin(key);
    return end(key, *turn, work());
  }

 private:
  struct Turn {
    std::optional<Result<Value>> given{};
  };
  using TurnRef = std::shared_ptr<Turn>;
  struct Line {
    bool is_working = false;
    TurnRef next{};  // not begun yet
  };

  std::pair<TurnRef, bool> join(const std::string& key) EXCLUDES(mutex_) {
    Lock lock(mutex_);
    TurnRef& next = lines_[key].next;
    if (next != nullptr) return {next, false};
    return {next = std::make_shared<Turn>(), true};
  }

  bool is_working(const std::string& key) EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return lines_[key].is_working;
  }

  Result<Value> wait_for(const Turn& turn) EXCLUDES(mutex_) {
    about_to_wait();
    Lock lock(mutex_);
    while (!turn.given) changed_.wait(lock);
    return *turn.given;
  }

  void begin(const std::string& key) EXCLUDES(mutex_) {
    if (is_working(key)) about_to_wait();
    Lock lock(mutex_);
    while (lines_[key].is_working) changed_.wait(lock);
    lines_[key] = {.is_working = true};
  }

  Result<Value> end(const std::string& key, Turn& turn, Result<Value> given) EXCLUDES(mutex_) {
    Lock lock(mutex_);
    turn.given = given;
    const auto line = lines_.find(key);
    line->second.is_working = false;
    if (line->second.next == nullptr) lines_.erase(line);
    changed_.notify_all();
    return given;
  }

  Mutex<Rank::document> mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, Line> lines_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
