// SPDX-License-Identifier: MIT
#include "fs/fuse/backings.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"

namespace agentfs::fuse {

#if defined(FUSE_CAP_PASSTHROUGH)
namespace {

constexpr off_t kLarge = 1 << 20;

bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

// What is written past us clears no set-user-id bits, and whoever opens it after a reader goes the
// way that this one goes.
bool worth_it(const vfs::Handle& handle, int flags) {
  struct stat found{};
  if (!handle.may_bypass() || ::fstat(handle.backing(), &found) != 0) return false;
  if ((found.st_mode & (S_ISUID | S_ISGID)) != 0) return false;
  return writes(flags) ? !handle.would_lose(flags) : found.st_size >= kLarge;
}

}  // namespace

void Backings::enable(fuse_session* session) {
  session_ = session;
  enabled_ = true;
  services_.feature("passthrough", true);
}

Result<int> Backings::share(fuse_req_t request, fuse_ino_t id, vfs::Handle& handle, int flags) {
  Lock lock(mutex_);
  Open& open = open_[id];
  if (open.opens > 0 && open.backing > 0 && !handle.enter_past()) {
    return fail(ESTALE, "is being replaced, and open past the daemon (-o passthrough)");
  }
  if (open.opens++ > 0) return open.backing;
  if (!enabled_ || !worth_it(handle, flags) || !handle.enter_past()) return 0;
  open.backing = std::max(0, ::fuse_passthrough_open(request, handle.backing()));
  if (open.backing > 0) return open.backing;
  handle.leave_past();
  enabled_ = false;
  log::info("passthrough: refused by the host's kernel; bytes come through the daemon");
  services_.feature("passthrough", false);
  return 0;
}

Status Backings::open(fuse_req_t request, fuse_ino_t id, vfs::Handle& handle, fuse_file_info& info,
                      bool is_known) {
  if (session_ == nullptr || handle.backing() < 0) return ok();
  info.backing_id = TRY(share(request, id, handle, info.flags));
  if (info.backing_id == 0) return ok();
  info.keep_cache = 0;  // what was cached before is dropped; past us the kernel caches nothing here
  handle.bypass(info.flags);
  if (!is_known || !writes(info.flags)) return ok();
  // A mapping changes size and times unseen: what was cached until now may not be believed. Only
  // attributes: no lock is waited for that this request could hold.
  ::fuse_lowlevel_notify_inval_inode(session_, id, -1, 0);
  return ok();
}

void Backings::close(fuse_req_t request, fuse_ino_t id, const vfs::Handle& handle) {
  if (session_ == nullptr || handle.backing() < 0) return;
  Lock lock(mutex_);
  const auto found = open_.find(id);
  if (found == open_.end() || --found->second.opens > 0) return;
  if (found->second.backing > 0) ::fuse_passthrough_close(request, found->second.backing);
  open_.erase(found);
}

#else

void Backings::enable(fuse_session*) {}
Status Backings::open(fuse_req_t, fuse_ino_t, vfs::Handle&, fuse_file_info&, bool) { return ok(); }
void Backings::close(fuse_req_t, fuse_ino_t, const vfs::Handle&) {}

#endif

}  // namespace agentfs::fuse
