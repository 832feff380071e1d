// SPDX-License-Identifier: MIT
#include "mount_watch.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <utility>

#include "base/log.h"
#include "mountpoint.h"

namespace agentfs {

MountWatch::MountWatch(EventLoop& loop, const std::string& mountpoint, std::function<void()> gone)
    : loop_(loop), device_(mounted_device(mountpoint)), gone_(std::move(gone)) {
  if (device_.empty()) return;
  table_ = UniqueFd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!table_) return;
  loop_.post([this] {
    // Each change of the table is told once, as urgent (proc(5)).
    loop_.watch(table_.get(), EPOLLPRI, [this](std::uint32_t) { look_soon(); });
    look_soon();  // it may be gone by now
  });
}

// Mounts come and go in swarms; the table of a host may be long.
void MountWatch::look_soon() {
  constexpr std::chrono::milliseconds kPause(50);
  if (std::exchange(is_due_, true)) return;
  loop_.after(kPause, [this] { look(); });
}

void MountWatch::look() {
  is_due_ = false;
  if (!gone_ || is_device_mounted(device_)) return;
  loop_.unwatch(table_.get());
  std::exchange(gone_, nullptr)();
  constexpr std::chrono::seconds kUnmounting(1);  // by then an ordinary umount has ended the loop
  loop_.after(kUnmounting, [] {
    log::info("the mount was taken away; what waits ends, and what is open is served to its end");
  });
}

}  // namespace agentfs
