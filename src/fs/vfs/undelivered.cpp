// SPDX-License-Identifier: MIT
#include "fs/vfs/undelivered.h"

#include <algorithm>

namespace agentfs::vfs {
namespace {

std::string key_of(const std::string& session, const std::string& directory) {
  return session + '\0' + directory;
}

}  // namespace

void Undelivered::add(const std::string& session, const std::string& directory,
                      const std::shared_ptr<MessageSource>& source) {
  Lock lock(mutex_);
  auto& entries = waiting_[key_of(session, directory)];
  const auto known = std::ranges::find(entries, source.get(), &Entry::identity);
  if (known == entries.end()) entries.push_back({source.get(), source});
}

void Undelivered::remove(const std::string& session, const std::string& directory,
                         const MessageSource* source) {
  Lock lock(mutex_);
  const auto found = waiting_.find(key_of(session, directory));
  if (found == waiting_.end()) return;
  std::erase_if(found->second, [&](const Entry& entry) { return entry.identity == source; });
  if (found->second.empty()) waiting_.erase(found);
}

void Undelivered::deliver(const std::string& session, const std::string& directory) {
  std::vector<std::shared_ptr<MessageSource>> sources;
  {
    Lock lock(mutex_);
    const auto found = waiting_.find(key_of(session, directory));
    if (found == waiting_.end()) return;
    for (const Entry& entry : found->second) {
      if (auto source = entry.source.lock()) sources.push_back(std::move(source));
    }
  }
  for (const auto& source : sources) source->deliver_now();
}

}  // namespace agentfs::vfs
