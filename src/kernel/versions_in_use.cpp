// SPDX-License-Identifier: MIT
#include "kernel/versions_in_use.h"

namespace agentfs {

Hold VersionsInUse::keep(Numbers& numbers) {
  const Lock lock(mutex_);
  return begin(kept_, forgotten_, numbers);
}

Hold VersionsInUse::forget(Numbers& numbers) {
  const Lock lock(mutex_);
  return begin(forgotten_, kept_, numbers);
}

Hold VersionsInUse::begin(Counts& mine, const Counts& others, Numbers& numbers) {
  std::erase_if(numbers, [&](std::uint64_t number) { return others.contains(number); });
  for (const std::uint64_t number : numbers) ++mine[number];
  return hold_until([this, &mine, numbers] { end(mine, numbers); });
}

void VersionsInUse::end(Counts& mine, const Numbers& numbers) {
  const Lock lock(mutex_);
  for (const std::uint64_t number : numbers) {
    const auto found = mine.find(number);
    if (--found->second == 0) mine.erase(found);
  }
}

}  // namespace agentfs
