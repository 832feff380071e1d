// SPDX-License-Identifier: MIT
// Which open files' bytes the host's kernel reads and writes by itself (FUSE passthrough).
#pragma once

#include <atomic>
#include <unordered_map>

#include "base/mutex.h"
#include "fs/fuse/libfuse.h"
#include "fs/vfs/node.h"
#include "fs/vfs/services.h"

namespace agentfs::fuse {

// All opens of a file that there are at a time go past the daemon, by one backing id, or none does:
// the kernel has no mixture. The first one decides: a writer goes past, unless what it may write
// over has to be kept, and a reader of a large file. What a reader of a small one has read is
// better cached: past the daemon each read spoils the cached attributes (the time of access). A
// first refusal (a disk that cannot be stacked upon, a container's root) ends it for all files that
// are not open already. Threads: all.
class Backings {
 public:
  explicit Backings(vfs::Services& services) : services_(services) {}
  // Once the kernel has said that it can. `session` is told of attributes that may change unseen.
  void enable(fuse_session* session);

  // Before an open is answered: `info` and the handle get to know where it goes past. `is_known`:
  // the kernel has attributes of the file already. ESTALE, upon which the kernel looks the name up
  // and opens once more, where others have it open past the daemon and it is being replaced.
  Status open(fuse_req_t request, fuse_ino_t id, vfs::Handle& handle, fuse_file_info& info,
              bool is_known = true);
  // When it is released.
  void close(fuse_req_t request, fuse_ino_t id, const vfs::Handle& handle);

 private:
  struct Open {
    int backing = 0;  // 0: through the daemon
    unsigned opens = 0;
  };
  // The backing id, or 0; one more open is counted.
  Result<int> share(fuse_req_t request, fuse_ino_t id, vfs::Handle& handle, int flags);

  vfs::Services& services_;
  fuse_session* session_ = nullptr;
  std::atomic<bool> enabled_ = false;
  Mutex<Rank::handle> mutex_;
  std::unordered_map<fuse_ino_t, Open> open_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::fuse
