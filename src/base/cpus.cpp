// SPDX-License-Identifier: MIT
#include "base/cpus.h"

namespace agentfs {
namespace {

// Nothing where it cannot be told, as on a machine of more CPUs than the set holds.
std::optional<cpu_set_t> allowed() {
  cpu_set_t all;
  CPU_ZERO(&all);
  return ::sched_getaffinity(0, sizeof all, &all) == 0 ? std::optional(all) : std::nullopt;
}

}  // namespace

std::optional<int> own_cpu() {
  const auto all = allowed();
  if (!all || CPU_COUNT(&*all) != 1) return std::nullopt;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &*all)) return cpu;
  }
  return std::nullopt;
}

AwayFrom::AwayFrom(std::optional<int> cpu) {
  const auto all = cpu ? allowed() : std::nullopt;
  if (!all) return;
  cpu_set_t others = *all;
  CPU_CLR(*cpu, &others);
  if (CPU_COUNT(&others) == 0 || ::sched_setaffinity(0, sizeof others, &others) != 0) return;
  before_ = all;
}

AwayFrom::~AwayFrom() {
  if (before_) ::sched_setaffinity(0, sizeof *before_, &*before_);
}

}  // namespace agentfs
