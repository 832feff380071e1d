// SPDX-License-Identifier: MIT
#include "kernel/event_lines.h"

namespace agentfs {

void EventLines::add(ProcessId pid, std::string line) {
  Lock lock(mutex_);
  bytes_ += line.size();
  std::deque<Line>& lines = lines_[pid];
  lines.push_back({.number = next_, .text = std::move(line)});
  order_.emplace_back(next_++, pid);
  if (lines.size() > kMostLines) drop_first(lines);
  while (!order_.empty()) {
    const auto [number, owner] = order_.front();
    const auto found = lines_.find(owner);
    const bool is_there =
        found != lines_.end() && !found->second.empty() && found->second.front().number <= number;
    if (is_there && bytes_ <= kMostBytes) return;
    if (is_there) drop_first(found->second);
    order_.pop_front();
  }
}

void EventLines::drop_first(std::deque<Line>& lines) {
  bytes_ -= lines.front().text.size();
  lines.pop_front();
}

std::string EventLines::text(ProcessId pid) const {
  std::string result;
  Lock lock(mutex_);
  const auto found = lines_.find(pid);
  if (found == lines_.end()) return result;
  for (const Line& line : found->second) result += line.text;
  return result;
}

void EventLines::forget(ProcessId pid) {
  Lock lock(mutex_);
  const auto found = lines_.find(pid);
  if (found == lines_.end()) return;
  for (const Line& line : found->second) bytes_ -= line.text.size();
  lines_.erase(found);
}

}  // namespace agentfs
