// SPDX-License-Identifier: MIT
#include "fs/vfs/change_order.h"

#include <algorithm>

#include "base/text.h"

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
  const auto until = std::chrono::steady_clock::now() + patience_;
  while (changes_ > 0 && changed_.wait_until(lock, until) == std::cv_status::no_timeout) continue;
}

void ChangeOrder::end_whole() {
  --depth;
  {
    Lock lock(mutex_);
    is_whole_ = false;
  }
  ++moved_;
  changed_.notify_all();
}

// --- names

ChangeOrder::Turn::Turn(ChangeOrder& order, const Naming& naming)
    : order_(order), is_inner_(depth > 0) {
  order_.begin();
  for (;;) {
    const std::uint64_t moved = order_.moved_;
    names_ = naming();
    is_had_ = order_.take(names_, is_inner_);
    const bool may_be_others = order_.moving_ > 0 || order_.moved_ != moved;
    if (!may_be_others || !is_had_ || naming() == names_) break;
    order_.leave(names_);
  }
  if (!names_.other.empty()) ++order_.moving_;
}

ChangeOrder::Turn::~Turn() {
  if (!names_.other.empty()) {
    ++order_.moved_;
    --order_.moving_;
  }
  if (is_had_) order_.leave(names_);
  order_.end();
}

ChangeOrder::Obstacle ChangeOrder::obstacle_at(const std::string& path, bool whole,
                                               bool is_inner) const {
  if (path.empty()) return Obstacle::none;
  const auto is_anothers = [](const Holder& holder) {
    return holder.thread != std::this_thread::get_id();
  };
  const auto held = names_.find(path);
  if (held != names_.end() && is_anothers(held->second)) return Obstacle::taken;
  bool is_busy = false;
  if (wholes_ > 0 || !awaited_.empty()) {
    for (auto above = text::parent_part(path); !above.empty(); above = text::parent_part(above)) {
      const auto its = names_.find(above);
      if (its != names_.end() && its->second.wholes > 0 && is_anothers(its->second)) {
        return Obstacle::taken;
      }
      is_busy = is_busy || (!is_inner && awaited_.contains(above));
    }
  }
  for (auto its = names_.lower_bound(path + "/"); whole && its != names_.end(); ++its) {
    if (!text::is_below(its->first, path)) break;
    is_busy = is_busy || is_anothers(its->second);
  }
  return is_busy ? Obstacle::busy : Obstacle::none;
}

ChangeOrder::Obstacle ChangeOrder::obstacle(const Names& names, bool is_inner) const {
  return std::max(obstacle_at(names.path, names.whole, is_inner),
                  obstacle_at(names.other, names.whole, is_inner));
}

bool ChangeOrder::take(const Names& names, bool is_inner) {
  Lock lock(names_mutex_);
  Obstacle found = obstacle(names, is_inner);
  if (found != Obstacle::none) {
    const auto until = std::chrono::steady_clock::now() + patience_;
    ++waiting_;
    const auto first = names.whole ? awaited_.insert(names.path) : awaited_.end();
    const auto second = names.whole ? awaited_.insert(names.other) : awaited_.end();
    bool is_tired = false;
    while (found == Obstacle::taken || (found == Obstacle::busy && !is_tired)) {
      if (is_tired && is_inner) break;
      if (is_tired) {
        left_.wait(lock);
      } else {
        is_tired = left_.wait_until(lock, until) == std::cv_status::timeout;
      }
      found = obstacle(names, is_inner);
    }
    if (names.whole) awaited_.erase(first);
    if (names.whole) awaited_.erase(second);
    --waiting_;
    if (names.whole) left_.notify_all();  // who waits for what was awaited alone
  }
  if (found == Obstacle::taken) return false;
  hold(names.path, names.whole);
  hold(names.other, names.whole);
  return true;
}

void ChangeOrder::hold(const std::string& path, bool whole) {
  if (path.empty()) return;
  Holder& holder = names_[path];
  holder.thread = std::this_thread::get_id();
  ++holder.times;
  if (!whole) return;
  ++holder.wholes;
  ++wholes_;
}

void ChangeOrder::release(const std::string& path, bool whole) {
  if (path.empty()) return;
  const auto held = names_.find(path);
  if (whole) {
    --held->second.wholes;
    --wholes_;
  }
  if (--held->second.times == 0) names_.erase(held);
}

void ChangeOrder::leave(const Names& names) {
  bool is_wanted = false;
  {
    const Lock lock(names_mutex_);
    release(names.path, names.whole);
    release(names.other, names.whole);
    is_wanted = waiting_ > 0;
  }
  if (is_wanted) left_.notify_all();
}

}  // namespace agentfs::vfs
