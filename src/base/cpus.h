// SPDX-License-Identifier: MIT
// On which CPUs a thread runs, where who waits for it holds one.
#pragma once

#include <sched.h>

#include <optional>

namespace agentfs {

// The CPU that the calling thread is bound to; nothing where it may run on several.
std::optional<int> own_cpu();

// While it lives the calling thread runs on other CPUs than that one, where it may run on any.
class AwayFrom {
 public:
  explicit AwayFrom(std::optional<int> cpu);
  ~AwayFrom();
  AwayFrom(const AwayFrom&) = delete;
  AwayFrom& operator=(const AwayFrom&) = delete;

 private:
  std::optional<cpu_set_t> before_;
};

}  // namespace agentfs
