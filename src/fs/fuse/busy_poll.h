// SPDX-License-Identifier: MIT
// Staying awake for the next request.
#pragma once

namespace agentfs::fuse {

// At its end the thread watches the channel for a moment, until a request is there to be read: who
// asks one thing after the other is then answered by a thread that is awake, and waking one that
// sleeps on another CPU costs as much as many an answer. Whoever else wants the CPU gets it first.
class BusyPoll {
 public:
  // A channel that poll(2) takes; -1 for none.
  explicit BusyPoll(int channel) : channel_(channel) {}
  BusyPoll(const BusyPoll&) = delete;
  BusyPoll& operator=(const BusyPoll&) = delete;
  ~BusyPoll();

 private:
  const int channel_;
};

}  // namespace agentfs::fuse
