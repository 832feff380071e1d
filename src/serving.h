// SPDX-License-Identifier: MIT
// The sessions of the host's kernel that serve one mount: one, or beside it one of the data trees.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "daemon.h"
#include "fs/fuse/session.h"
#include "state_directory.h"
#include "tree_mounts.h"

namespace agentfs {

// Why -o io_uring would change nothing on this machine, and what would help; "" where it works.
std::string why_no_io_uring();

// With -o io_uring or -o data_session, where it is to be had, /home, /workspaces, /src/repos and
// /tmp are a session of their own, on io_uring with the first, bound over their places in the
// other, which has everything in which a request may wait. Should it end alone, the other serves
// all.
//
// The mount appears with all of its parts at once: until then it lies in STATE/mount, and that of
// the trees in STATE/trees.mount. Threads: stop() and end_waits() any, the rest one.
class Serving {
 public:
  static Result<std::unique_ptr<Serving>> mount(vfs::FileSystem& files, vfs::Services& services,
                                                const StateDirectory& state,
                                                const DaemonOptions& options);
  ~Serving();
  // Until all is unmounted, or stopped. After `umount -l` the trees are served for as long as
  // somebody has something of them open.
  Status run();
  void stop();
  // For who reads on while the mount was taken away: those wait for what may never come, and would
  // keep the daemon for as long. What is open otherwise is served to its end.
  void end_waits() { main_->end_waits(); }

 private:
  Serving(vfs::FileSystem& files, vfs::Services& services) : files_(files), services_(services) {}
  struct Trees {
    bool are_apart = false;
    bool are_on_io_uring = false;
  };
  void tell(const Trees& trees);  // what is on
  Status begin(fuse::SessionOptions main, const std::string& trees_place, bool io_uring);
  // What the session of the trees needs is there, or else nothing of it.
  Status begin_trees(fuse::SessionOptions options);
  void serve_trees();
  void take_over();

  vfs::FileSystem& files_;
  vfs::Services& services_;
  std::string mountpoint_;
  std::unique_ptr<fuse::Session> main_;
  std::unique_ptr<fuse::Session> trees_;  // none: the main one serves all
  Status outcome_ = ok();                 // of the main one, where a thread runs it
  Mutex<Rank::object> mutex_;
  TreeMounts bound_ GUARDED_BY(mutex_);
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> main_is_over_ = false;
  std::thread main_thread_;
  std::thread trees_thread_;
};

}  // namespace agentfs
