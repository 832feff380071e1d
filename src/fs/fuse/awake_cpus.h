// SPDX-License-Identifier: MIT
// Keeps the CPUs of a virtual machine from halting while requests come.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/file.h"

namespace agentfs::fuse {

// A request wakes a thread of the daemon, and its answer the one that asked. Where a CPU without
// work halts, each of the two goes by the hypervisor: some 50 us, where waking a CPU that polls
// costs 3. The kernel has its idle CPUs poll as long as somebody asks it for a latency of 0 (PM
// quality of service, /dev/cpu_dma_latency, root's), and no longer than that one lives. So it is
// asked at the first request, until none has come for a moment; what polls is the idle task, which
// takes the CPU from nobody. Threads: all.
class AwakeCpus : public std::enable_shared_from_this<AwakeCpus> {
 public:
  // The device takes latencies as numbers of 32 bits; the event loop outlives this.
  AwakeCpus(EventLoop& loop, UniqueFd device) : loop_(loop), device_(std::move(device)) {}

  // A request has come.
  void asked() {
    has_come_.store(true, std::memory_order_relaxed);
    if (!is_held_.load(std::memory_order_relaxed)) hold();
  }

 private:
  void hold();
  void look();  // on the event thread, each moment while it is held
  void want(std::int32_t microseconds);

  EventLoop& loop_;
  const UniqueFd device_;
  std::atomic<bool> has_come_ = false;  // since the last look
  std::atomic<bool> is_held_ = false;
};

// What this machine does with a CPU that has no work.
struct IdleCpus {
  bool may_be_awake = false;  // by who asks here
  bool halt = false;          // at the cost of a hypervisor's wake-up, unless kept awake
  std::string text{};         // for people
  std::string advice{};       // "" where there is nothing to be done
};
IdleCpus idle_cpus();

// Null where they do not halt, or not be kept from it.
std::shared_ptr<AwakeCpus> keep_awake(EventLoop& loop);

}  // namespace agentfs::fuse
