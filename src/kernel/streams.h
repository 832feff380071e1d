// SPDX-License-Identifier: MIT
// The live text of runs: what /proc/<pid>/stream and /dev/llm streams show as it comes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/mutex.h"

namespace agentfs {

// Threads: all. Receivers are called on the publishing thread with no lock held, and must not
// block. Nothing is kept: who subscribes sees what comes after.
class Streams {
 public:
  using Receiver = std::function<void(std::string_view text, bool end)>;  // end: the run ended
  std::uint64_t subscribe(ProcessId pid, Receiver receiver);
  void unsubscribe(std::uint64_t subscription);
  void publish(ProcessId pid, std::string_view text);
  void end(ProcessId pid);

 private:
  void send(ProcessId pid, std::string_view text, bool end);
  Mutex<Rank::object> mutex_;
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  std::map<std::uint64_t, std::pair<ProcessId, Receiver>> receivers_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
