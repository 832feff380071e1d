// SPDX-License-Identifier: MIT
#include "fs/vfs/reply_slots.h"

namespace agentfs::vfs {

void ReplySlots::put(const std::string& slot, std::string text) {
  Order dropped;  // freed after the lock
  Lock lock(mutex_);
  if (const auto old = slots_.find(slot); old != slots_.end()) {
    bytes_ -= old->second->text->size();
    dropped.splice(dropped.end(), order_, old->second);
    slots_.erase(old);
  }
  if (text.size() > kBytes) return;
  bytes_ += text.size();
  order_.push_front({slot, std::make_shared<const std::string>(std::move(text))});
  slots_[slot] = order_.begin();
  while (order_.size() > kSlots || bytes_ > kBytes) drop_oldest(dropped);
}

Text ReplySlots::find(const std::string& slot) {
  Lock lock(mutex_);
  const auto found = slots_.find(slot);
  if (found == slots_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return found->second->text;
}

std::size_t ReplySlots::bytes() const {
  Lock lock(mutex_);
  return bytes_;
}

void ReplySlots::drop_oldest(Order& dropped) {
  const auto oldest = std::prev(order_.end());
  bytes_ -= oldest->text->size();
  slots_.erase(oldest->name);
  dropped.splice(dropped.end(), order_, oldest);
}

}  // namespace agentfs::vfs
