// SPDX-License-Identifier: MIT
// The daemon: everything built, mounted, served, and taken down in order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "state_directory.h"

namespace agentfs {

struct DaemonOptions {
  std::string mountpoint;
  std::vector<std::string> mount_options;
  bool allow_other = false;
  bool passthrough = false;   // where it is to be had
  bool io_uring = false;      // for the data trees, the same
  bool data_session = false;  // the data trees as a session of their own; io_uring has one too
  bool busy_poll = true;      // threads stay awake between requests that follow each other closely
  bool probe_models = true;   // look for a model server on this host at start
  bool succeeds = false;      // takes the place of a dead mount, and ends where that was taken away
};

// Runs in the calling thread until unmounted or told to end by SIGTERM, SIGINT or SIGHUP. `ready`
// is called once the mount is there, `beat`, which may be null, every second while requests can go
// on, from the event thread. ECANCELED: it was to succeed a dead mount that somebody has unmounted.
Status run_daemon(const StateDirectory& state, const DaemonOptions& options,
                  const std::function<void()>& ready, const std::function<void()>& beat);

}  // namespace agentfs
