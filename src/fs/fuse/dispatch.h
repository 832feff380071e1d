// SPDX-License-Identifier: MIT
// From the operations of the host's kernel to nodes and handles.
#pragma once

#include <atomic>

#include "fs/fuse/announcer.h"
#include "fs/fuse/awake_cpus.h"
#include "fs/fuse/backings.h"
#include "fs/fuse/host_caller.h"
#include "fs/fuse/libfuse.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session.h"
#include "fs/vfs/file_system.h"

namespace agentfs::fuse {

// What every operation of a session shares; libfuse's user data.
struct Context {
  std::shared_ptr<vfs::Channel> channel;
  vfs::Services& services;
  CallerResolver resolver;
  std::shared_ptr<ParkedRequests> parked;
  Backings backings;
  std::shared_ptr<Announcer> announcer;
  std::shared_ptr<AwakeCpus> awake;  // null: nothing is kept awake
  const SessionOptions& options;
  fuse_session* session = nullptr;
  std::atomic<bool> on_io_uring = false;  // known from the first statfs on
  bool clears_set_id = false;             // instead of the kernel; fixed once the session has begun
};

inline Context& context_of(fuse_req_t request) {
  return *static_cast<Context*>(::fuse_req_userdata(request));
}

// The table of operations for fuse_session_new.
const fuse_lowlevel_ops& operations();
void add_file_operations(fuse_lowlevel_ops& table);       // on open files
void add_directory_operations(fuse_lowlevel_ops& table);  // on names and open directories

}  // namespace agentfs::fuse
