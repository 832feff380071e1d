// SPDX-License-Identifier: MIT
#include "fs/vfs/watchers.h"

#include <algorithm>
#include <utility>

namespace agentfs::vfs {

void Watchers::add(const std::string& path, const void* descriptor, Ready ready) {
  Ready dropped;
  Lock lock(mutex_);
  auto& list = waiting_[path];
  const auto old = std::ranges::find(list, descriptor, &Watcher::descriptor);
  if (old == list.end()) {
    list.push_back({descriptor, std::move(ready)});
  } else {
    dropped = std::exchange(old->ready, std::move(ready));
  }
}

void Watchers::remove(const std::string& path, const void* descriptor) {
  std::vector<Watcher> dropped;
  Lock lock(mutex_);
  const auto list = waiting_.find(path);
  if (list == waiting_.end()) return;
  const auto found = std::ranges::find(list->second, descriptor, &Watcher::descriptor);
  if (found == list->second.end()) return;
  dropped.push_back(std::move(*found));
  list->second.erase(found);
  if (list->second.empty()) waiting_.erase(list);
}

std::vector<Watchers::Ready> Watchers::take(const std::string& path) {
  std::vector<Ready> taken;
  Lock lock(mutex_);
  const auto list = waiting_.find(path);
  if (list == waiting_.end()) return taken;
  for (Watcher& watcher : list->second) taken.push_back(std::move(watcher.ready));
  waiting_.erase(list);
  return taken;
}

}  // namespace agentfs::vfs
