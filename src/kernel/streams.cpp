// SPDX-License-Identifier: MIT
#include "kernel/streams.h"

#include <vector>

namespace agentfs {

std::uint64_t Streams::subscribe(ProcessId pid, Receiver receiver) {
  Lock lock(mutex_);
  receivers_.emplace(next_, std::pair(pid, std::move(receiver)));
  return next_++;
}

void Streams::unsubscribe(std::uint64_t subscription) {
  std::pair<ProcessId, Receiver> dropped;  // destroyed after the lock
  Lock lock(mutex_);
  const auto found = receivers_.find(subscription);
  if (found == receivers_.end()) return;
  dropped = std::move(found->second);
  receivers_.erase(found);
}

void Streams::publish(ProcessId pid, std::string_view text) {
  if (!text.empty()) send(pid, text, false);
}

void Streams::end(ProcessId pid) { send(pid, {}, true); }

void Streams::send(ProcessId pid, std::string_view text, bool end) {
  std::vector<Receiver> wanted;
  {
    Lock lock(mutex_);
    for (const auto& [id, entry] : receivers_) {
      if (entry.first == pid) wanted.push_back(entry.second);
    }
  }
  for (const Receiver& receiver : wanted) receiver(text, end);
}

}  // namespace agentfs
