// SPDX-License-Identifier: MIT
#include "kernel/sightings.h"

#include "base/hash.h"

namespace agentfs {

void Sightings::note(ProcessId process, std::string_view path, const Sight& sight) {
  const std::uint64_t key = fnv1a(path);
  Lock lock(mutex_);
  Seen& seen = all_[process];
  if (seen.newer.size() >= kMost && !seen.newer.contains(key)) {
    seen.older = std::exchange(seen.newer, {});
  }
  seen.newer[key] = sight;
}

std::optional<Sight> Sightings::find(ProcessId process, std::string_view path) const {
  const std::uint64_t key = fnv1a(path);
  Lock lock(mutex_);
  const auto seen = all_.find(process);
  if (seen == all_.end()) return std::nullopt;
  for (const ByPath* part : {&seen->second.newer, &seen->second.older}) {
    if (const auto found = part->find(key); found != part->end()) return found->second;
  }
  return std::nullopt;
}

void Sightings::forget(ProcessId process) {
  Lock lock(mutex_);
  all_.erase(process);
}

}  // namespace agentfs
