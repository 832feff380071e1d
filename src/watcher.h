// SPDX-License-Identifier: MIT
// The daemon's parent in the background: starts it again when it dies, ends it when it hangs.
#pragma once

#include <chrono>

#include "daemon.h"

namespace agentfs {

struct WatcherOptions {
  // Silence after which a daemon counts as hung; while it starts, twenty times that.
  std::chrono::milliseconds hang{30'000};
  int restarts = 5;  // within a minute; then it gives up
};

inline constexpr char kWatcherName[] = "agentfs-watch";  // of its process

// Puts watcher and daemon into the background and returns when the mount answers, or with the
// daemon's own sentence when it could not start. Call before any thread is made: it forks.
Status start_in_background(StateDirectory state, const DaemonOptions& daemon,
                           const WatcherOptions& watcher);

}  // namespace agentfs
