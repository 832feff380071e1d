// SPDX-License-Identifier: MIT
#include "fs/vfs/node_table.h"

namespace agentfs::vfs {
namespace {

// Slot 0 of generation 0 is number 1; 0 is no number.
std::uint64_t number_of(std::size_t slot, std::uint32_t generation) {
  return (static_cast<std::uint64_t>(generation) << 32U) | (slot + 1);
}
std::size_t slot_of(std::uint64_t number) { return (number & 0xFFFFFFFFU) - 1; }
std::uint32_t generation_of(std::uint64_t number) {
  return static_cast<std::uint32_t>(number >> 32U);
}

}  // namespace

NodeTable::NodeTable(NodeRef root) {
  Lock lock(mutex_);
  ids_[root.get()] = number_of(0, 0);
  slots_.push_back({std::move(root), 1, 0});
}

NodeTable::Slot* NodeTable::find_slot(std::uint64_t id) {
  const std::size_t at = slot_of(id);
  if (at >= slots_.size()) return nullptr;
  Slot& slot = slots_[at];
  return slot.node && slot.generation == generation_of(id) ? &slot : nullptr;
}

Result<NodeRef> NodeTable::get(std::uint64_t id) {
  {
    Lock lock(mutex_);
    if (const Slot* slot = find_slot(id)) return slot->node;
  }
  return fail(ESTALE, "node {}: not in use", id);
}

std::uint64_t NodeTable::remember(const NodeRef& node) {
  Lock lock(mutex_);
  if (const auto known = ids_.find(node.get()); known != ids_.end()) {
    ++slots_[slot_of(known->second)].lookups;
    return known->second;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t at = free_.back();
  free_.pop_back();
  Slot& slot = slots_[at];
  slot.node = node;
  slot.lookups = 1;
  const std::uint64_t id = number_of(at, slot.generation);
  ids_[node.get()] = id;
  return id;
}

void NodeTable::forget(std::uint64_t id, std::uint64_t lookups) {
  NodeRef gone;
  Lock lock(mutex_);
  Slot* const slot = find_slot(id);
  if (slot == nullptr || id == number_of(0, 0)) return;
  slot->lookups -= std::min(lookups, slot->lookups);
  if (slot->lookups > 0) return;
  ids_.erase(slot->node.get());
  gone = std::move(slot->node);
  slot->node = nullptr;
  ++slot->generation;
  free_.push_back(static_cast<std::uint32_t>(slot_of(id)));
  forgotten_.notify_all();
}

std::uint64_t NodeTable::find(const Node* node) {
  Lock lock(mutex_);
  const auto known = ids_.find(node);
  return known == ids_.end() ? 0 : known->second;
}

std::size_t NodeTable::size() {
  Lock lock(mutex_);
  return ids_.size();
}

bool NodeTable::wait_for_fewer(std::size_t most, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  Lock lock(mutex_);
  while (ids_.size() > most) {
    if (forgotten_.wait_until(lock, until) == std::cv_status::timeout) return ids_.size() <= most;
  }
  return true;
}

std::vector<std::uint64_t> NodeTable::next(std::size_t count) {
  std::vector<std::uint64_t> ids;
  Lock lock(mutex_);
  for (std::size_t seen = 0; seen < slots_.size() && ids.size() < count; ++seen) {
    round_ = (round_ + 1) % slots_.size();
    const Slot& slot = slots_[round_];
    if (slot.node && round_ != 0) ids.push_back(number_of(round_, slot.generation));
  }
  return ids;
}

void NodeTable::clear() {
  std::vector<Slot> gone;
  Lock lock(mutex_);
  gone.swap(slots_);
  free_.clear();
  ids_.clear();
}

HandleTable::Slot* HandleTable::find_slot(std::uint64_t number) {
  const std::size_t at = slot_of(number);
  if (at >= slots_.size()) return nullptr;
  Slot& slot = slots_[at];
  return slot.handle && slot.generation == generation_of(number) ? &slot : nullptr;
}

void HandleTable::count(Opener opener) {
  ++by_user_[opener.uid];
  if (opener.process != 0) ++by_process_[opener.process];
}

void HandleTable::discount(Opener opener) {
  const auto user = by_user_.find(opener.uid);
  if (--user->second == 0) by_user_.erase(user);
  const auto process = by_process_.find(opener.process);
  if (process != by_process_.end() && --process->second == 0) by_process_.erase(process);
}

std::uint64_t HandleTable::keep(std::shared_ptr<Handle> handle, Opener opener) {
  Lock lock(mutex_);
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t at = free_.back();
  free_.pop_back();
  slots_[at].handle = std::move(handle);
  slots_[at].opener = opener;
  count(opener);
  return number_of(at, slots_[at].generation);
}

std::shared_ptr<Handle> HandleTable::find(std::uint64_t number) {
  Lock lock(mutex_);
  const Slot* const slot = find_slot(number);
  return slot == nullptr ? nullptr : slot->handle;
}

std::shared_ptr<Handle> HandleTable::drop(std::uint64_t number) {
  Lock lock(mutex_);
  Slot* const slot = find_slot(number);
  if (slot == nullptr) return nullptr;
  std::shared_ptr<Handle> handle = std::exchange(slot->handle, nullptr);
  discount(slot->opener);
  ++slot->generation;
  free_.push_back(static_cast<std::uint32_t>(slot_of(number)));
  return handle;
}

std::vector<std::shared_ptr<Handle>> HandleTable::clear() {
  std::vector<std::shared_ptr<Handle>> handles;
  Lock lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.handle) handles.push_back(std::move(slot.handle));
  }
  slots_.clear();
  free_.clear();
  by_user_.clear();
  by_process_.clear();
  return handles;
}

std::size_t HandleTable::size() {
  Lock lock(mutex_);
  return slots_.size() - free_.size();
}

std::size_t HandleTable::size(uid_t uid) {
  Lock lock(mutex_);
  const auto user = by_user_.find(uid);
  return user == by_user_.end() ? 0 : user->second;
}

std::size_t HandleTable::size_of_process(pid_t process) {
  Lock lock(mutex_);
  const auto found = by_process_.find(process);
  return found == by_process_.end() ? 0 : found->second;
}

}  // namespace agentfs::vfs
