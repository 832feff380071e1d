// SPDX-License-Identifier: MIT
#include "fs/fuse/busy_poll.h"

#include <poll.h>
#include <sched.h>

#include <chrono>

namespace agentfs::fuse {
namespace {

// What a program does between two calls, mostly.
constexpr std::chrono::microseconds kMoment(10);

}  // namespace

BusyPoll::~BusyPoll() {
  if (channel_ < 0) return;
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + kMoment;
  pollfd next{.fd = channel_, .events = POLLIN, .revents = 0};
  while (::poll(&next, 1, 0) == 0 && Clock::now() < end) ::sched_yield();
}

}  // namespace agentfs::fuse
