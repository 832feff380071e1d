// SPDX-License-Identifier: MIT
#include "fs/vfs/change_order.h"

namespace agentfs::vfs {
namespace {

thread_local int depth = 0;  // of what this thread has begun and not ended

}  // namespace

void ChangeOrder::begin() {
  if (depth++ > 0) return;
  Lock lock(mutex_);
  while (is_whole_) changed_.wait(lock);
  ++changes_;
}

void ChangeOrder::end() {
  if (--depth > 0) return;
  Lock lock(mutex_);
  if (--changes_ == 0 && is_whole_) changed_.notify_all();
}

void ChangeOrder::begin_whole() {
  ++depth;
  Lock lock(mutex_);
  while (is_whole_) changed_.wait(lock);
  is_whole_ = true;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (changes_ > 0 && changed_.wait_until(lock, until) == std::cv_status::no_timeout) continue;
}

void ChangeOrder::end_whole() {
  --depth;
  {
    Lock lock(mutex_);
    is_whole_ = false;
  }
  changed_.notify_all();
}

bool ChangeOrder::is_anothers(const std::string& path) const {
  const auto held = path.empty() ? names_.end() : names_.find(path);
  return held != names_.end() && held->second.thread != std::this_thread::get_id();
}

void ChangeOrder::take(const std::string& path, const std::string& other) {
  Lock lock(names_mutex_);
  ++waiting_;
  while (is_anothers(path) || is_anothers(other)) left_.wait(lock);
  --waiting_;
  for (const std::string& name : {std::cref(path), std::cref(other)}) {
    if (name.empty()) continue;
    Holder& holder = names_[name];
    holder.thread = std::this_thread::get_id();
    ++holder.times;
  }
}

void ChangeOrder::release(const std::string& path) {
  const auto held = path.empty() ? names_.end() : names_.find(path);
  if (held != names_.end() && --held->second.times == 0) names_.erase(held);
}

void ChangeOrder::leave(const std::string& path, const std::string& other) {
  bool is_wanted = false;
  {
    const Lock lock(names_mutex_);
    release(path);
    release(other);
    is_wanted = waiting_ > 0;
  }
  if (is_wanted) left_.notify_all();
}

}  // namespace agentfs::vfs
