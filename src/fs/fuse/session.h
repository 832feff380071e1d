// SPDX-License-Identifier: MIT
// One mount: the channel to the host's kernel and the threads that serve it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fs/vfs/file_system.h"
#include "fs/vfs/services.h"

namespace agentfs::fuse {

class Session;

struct SessionOptions {
  std::string mountpoint;    // a directory; "/dev/fd/N" takes a channel that is open
  std::string aside;         // an empty directory to mount at until appear(); or empty
  bool over_dead = false;    // a dead mount stands at the mountpoint, and is taken away then
  bool allow_other = false;  // other users too (root, or user_allow_other)
  std::vector<std::string> options;  // further -o options, as fusermount3 and libfuse take them
  unsigned threads = 4;
  // Whether the host's kernel may read and write files of the data trees by itself, where libfuse
  // and the kernel have that (root only); and whether they lie on an overlayfs or its like.
  bool passthrough = false;
  bool stacked_disk = false;
  // A thread that has answered stays awake for a moment (workers.h), and so do the CPUs of a
  // virtual machine (awake_cpus.h).
  bool busy_poll = false;
  // A session of the data trees, beside the one of the rest of the same mount (which outlives it).
  // It is only ever seen through what is bound of it.
  Session* beside = nullptr;
  bool io_uring = false;  // its requests come so, where there is that
};

// The libfuse that this program is linked with.
struct Library {
  std::string version{};     // "3.18.3"
  bool passthrough = false;  // knows it, whatever the host's kernel does
  bool io_uring = false;     // the same
};
Library library();

// Of further -o options: EINVAL for one that libfuse does not take, or by which a mount of agentfs
// would not be known.
Status check_options(const std::string& mountpoint, const std::vector<std::string>& options);

// Threads: run() in one; stop() from any, also from a signal-handling thread. The file system and
// services outlive it.
class Session {
 public:
  // Mounts; the kernel's requests wait until run(). EBUSY, EPERM, ENOENT with what to do.
  static Result<std::unique_ptr<Session>> mount(vfs::FileSystem& files, vfs::Services& services,
                                                SessionOptions options);
  ~Session();  // unmounts what is still mounted
  // One that was mounted aside, with all that is mounted in it, gets to its mountpoint; what stands
  // dead there goes. Nothing for another.
  Status appear();
  // What of the mount it serves from the next request on.
  void set_part(vfs::Part part);
  // Whether its requests come so; to be asked once a statfs(2) of it was answered.
  bool on_io_uring() const;
  // Ends what waits for something to come, now and from now on, with ECONNABORTED; the rest is
  // served as before. Threads: all.
  void end_waits();
  // Serves until unmounted or stopped; parked requests get EINTR or ECONNABORTED.
  Status run();
  void stop();

 private:
  struct Parts;
  explicit Session(std::unique_ptr<Parts> parts);
  int run_by_libfuse();
  std::unique_ptr<Parts> parts_;
};

}  // namespace agentfs::fuse
