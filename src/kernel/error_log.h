// SPDX-License-Identifier: MIT
// The newest failures of each process, as sentences.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace agentfs {

// Threads: all. Keeps the last 200 of each process in memory: a failed command changed nothing,
// so there is nothing to keep over a restart. What ended a run is in the journal as well.
class ErrorLog {
 public:
  explicit ErrorLog(const Clock& clock) : clock_(clock) {}
  // `where`: the file or the tool call. The line is "<time>\t<errno>\t<where>\t<sentence>".
  void add(ProcessId pid, std::string_view where, const Error& error);
  std::string text(ProcessId pid) const;  // oldest first: the newest line is the last
  void forget(ProcessId pid);

 private:
  const Clock& clock_;
  mutable Mutex<Rank::object> mutex_;
  std::unordered_map<ProcessId, std::deque<std::string>> lines_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
