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

}  // namespace agentfs::vfs
