// SPDX-License-Identifier: MIT
#include "fs/vfs/version_table.h"

#include <fmt/format.h>

#include <iterator>

#include "base/hash.h"
#include "base/text.h"

namespace agentfs::vfs {

VersionTable::Record& VersionTable::touch(std::uint64_t file) {
  if (const auto found = records_.find(file); found != records_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    return order_.front();
  }
  order_.push_front({.file = file});
  records_[file] = order_.begin();
  if (order_.size() > kRemembered) {
    records_.erase(order_.back().file);
    order_.pop_back();
  }
  return order_.front();
}

bool VersionTable::Record::is_of(const Content& now, std::uint64_t now_digest,
                                 const Content* held) const {
  return changed && digest == now_digest && size == now.size() &&
         (held == nullptr || held->same_as(now));
}

// The disk's clock ticks slowly: a time that the content before had is none of the next one's.
std::int64_t VersionTable::Record::time_of_next(const Content& next, std::int64_t wall) const {
  return next.changed() > changed ? *next.changed() : wall;
}

std::int64_t VersionTable::changed(const std::string& file, const ContentRef& content,
                                   std::int64_t wall) {
  const std::uint64_t digest = content->digest();
  ContentRef held;  // of the record: freed after the lock
  Lock lock(mutex_);
  Record& record = touch(fnv1a(file));
  held = record.content.lock();
  if (!record.is_of(*content, digest, held.get())) {
    const std::int64_t changed = record.time_of_next(*content, wall);
    record = {record.file, digest, content->size(), changed, content, {}};
  }
  return *record.changed;
}

NodeRef VersionTable::version(const std::string& file, const ContentRef& content, std::int64_t wall,
                              const Nodes& nodes) {
  const std::uint64_t digest = content->digest();
  ContentRef held;  // of the record: freed after the lock
  NodeRef node;
  Lock lock(mutex_);
  Record& record = touch(fnv1a(file));
  held = record.content.lock();
  const bool same = record.is_of(*content, digest, held.get());
  if (same && held) node = record.node.lock();
  if (node) {
    nodes.share(*node);
    return node;
  }
  const std::int64_t changed = same ? *record.changed : record.time_of_next(*content, wall);
  node = nodes.make(changed);
  record = {record.file, digest, content->size(), changed, content, node};
  return node;
}

std::string VersionTable::times() const {
  std::string text;
  Lock lock(mutex_);
  for (const Record& r : order_) {
    if (!r.changed) continue;
    fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", r.file, r.digest, r.size, *r.changed);
  }
  return text;
}

void VersionTable::remember(std::string_view times) {
  Lock lock(mutex_);
  for (const std::string_view line : text::lines(times)) {
    const auto words = text::words(line);
    if (words.size() != 4 || order_.size() == kRemembered) continue;
    const auto file = text::number<std::uint64_t>(words[0]);
    const auto digest = text::number<std::uint64_t>(words[1]);
    const auto size = text::number<std::uint64_t>(words[2]);
    const auto changed = text::number<std::int64_t>(words[3]);
    if (!file || !digest || !size || !changed || records_.contains(*file)) continue;
    order_.push_back({.file = *file, .digest = *digest, .size = *size, .changed = *changed});
    records_[*file] = std::prev(order_.end());
  }
}

void VersionTable::retire(const std::string& file, const Node* node) {
  NodeRef held;
  Lock lock(mutex_);
  const auto found = records_.find(fnv1a(file));
  if (found == records_.end()) return;
  held = found->second->node.lock();
  if (held.get() == node) found->second->node.reset();
}

void VersionTable::drop_expired(std::int64_t steady, std::vector<NodeRef>& dropped) {
  while (!expiry_.empty() && expiry_.front().first <= steady) {
    const auto pin = pins_.find(expiry_.front().second);
    if (pin != pins_.end() && pin->second.until <= steady) {
      dropped.push_back(std::move(pin->second.node));
      pins_.erase(pin);
    }
    expiry_.pop_front();
  }
}

void VersionTable::pin(pid_t group, uid_t user, const std::string& path, NodeRef node,
                       std::int64_t steady) {
  std::vector<NodeRef> dropped;  // nodes are never freed under the lock
  Lock lock(mutex_);
  drop_expired(steady, dropped);
  const PinKey key{group, path};
  Pin& pin = pins_[key];
  dropped.push_back(std::exchange(pin.node, std::move(node)));
  pin.user = user;
  pin.until = steady + kPinned;
  expiry_.emplace_back(pin.until, key);
}

NodeRef VersionTable::pinned(pid_t group, uid_t user, const std::string& path,
                             std::int64_t steady) {
  Lock lock(mutex_);
  const auto found = pins_.find({group, path});
  if (found == pins_.end()) return nullptr;
  const Pin& pin = found->second;
  return pin.user == user && pin.until > steady ? pin.node : nullptr;
}

void VersionTable::unpin(pid_t group, const std::string& path) {
  NodeRef dropped;
  Lock lock(mutex_);
  const auto found = pins_.find({group, path});
  if (found == pins_.end()) return;
  dropped = std::move(found->second.node);
  pins_.erase(found);
}

void VersionTable::unpin_all(pid_t group) {
  std::vector<NodeRef> dropped;
  Lock lock(mutex_);
  auto pin = pins_.lower_bound({group, std::string()});
  while (pin != pins_.end() && pin->first.first == group) {
    dropped.push_back(std::move(pin->second.node));
    pin = pins_.erase(pin);
  }
}

void VersionTable::clear() {
  std::map<PinKey, Pin> dropped;
  Lock lock(mutex_);
  dropped.swap(pins_);
  expiry_.clear();
}

}  // namespace agentfs::vfs
