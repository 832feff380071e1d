// SPDX-License-Identifier: MIT
// Tells when the mount was taken away while its daemon goes on: after `umount -l`.
#pragma once

#include <functional>
#include <string>

#include "base/event_loop.h"
#include "base/file.h"

namespace agentfs {

// Calls `gone` once, on the event thread, when the file system that is mounted at `mountpoint` now
// is in the daemon's table of mounts no more; never where it is not there to begin with. The loop
// ends before this does. Threads: one.
class MountWatch {
 public:
  MountWatch(EventLoop& loop, const std::string& mountpoint, std::function<void()> gone);

 private:
  void look_soon();
  void look();

  EventLoop& loop_;
  const std::string device_;
  std::function<void()> gone_;  // null once called
  UniqueFd table_;
  bool is_due_ = false;
};

}  // namespace agentfs
