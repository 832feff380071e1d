// SPDX-License-Identifier: MIT
// Changing and asking attributes of a node.
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/trees/directory_tree.h"
#include "base/permissions.h"

namespace agentfs::trees {
namespace {

constexpr mode_t kSetIds = S_ISUID | S_ISGID;

struct stat stat_of(const Borrowed& node) {
  struct stat attributes{};
  ::fstat(node.get(), &attributes);
  return attributes;
}

}  // namespace

int DirectoryTree::change_owner(const Borrowed& node, const SetAttributes& wanted,
                                const TreeCaller& caller) const {
  const bool user = (wanted.which & SetAttributes::uid) != 0;
  const bool group = (wanted.which & SetAttributes::gid) != 0;
  const uid_t uid = user ? wanted.values.st_uid : static_cast<uid_t>(-1);
  const gid_t gid = group ? wanted.values.st_gid : static_cast<gid_t>(-1);
  return as_caller(
      daemon_, caller, [&] { return ::fchownat(node.get(), "", uid, gid, AT_EMPTY_PATH); },
      CallerScope::Groups::all);
}

// When somebody who is not the owner writes a set-user-ID file, the mount's kernel sends, in the
// writer's name, the mode without those bits: a change of mode that the disk grants to owners only,
// but does by itself for every write. So it is done as the daemon.
int DirectoryTree::change_mode(const Borrowed& node, mode_t mode, const TreeCaller& caller) const {
  const std::string path = node.path();
  const auto change = [&] { return ::fchmodat(AT_FDCWD, path.c_str(), mode & kPermissions, 0); };
  const int code = as_caller(daemon_, caller, change, CallerScope::groups_for(mode));
  if (code != EPERM || !daemon_.root) return code;
  const struct stat now = stat_of(node);
  const mode_t kept = mode & kPermissions;
  const bool only_drops_set_ids = S_ISREG(now.st_mode) && (now.st_mode & kept) == kept &&
                                  (now.st_mode & kPermissions & ~kept & ~kSetIds) == 0;
  return only_drops_set_ids ? as_caller(daemon_, TreeCaller{}, change) : code;
}

// A handle open for writing may truncate whatever the mode has become since.
int DirectoryTree::change_size(const Borrowed& node, const TreeFile* open, off_t size,
                               const TreeCaller& caller) const {
  const std::string path = node.path();
  const auto change = [&] {
    return open != nullptr ? ::ftruncate(open->descriptor(), size) : ::truncate(path.c_str(), size);
  };
  return as_caller(daemon_, caller, change, CallerScope::groups_for(stat_of(node).st_mode));
}

int DirectoryTree::change_times(const Borrowed& node, const SetAttributes& wanted,
                                const TreeCaller& caller) const {
  timespec times[2] = {wanted.values.st_atim, wanted.values.st_mtim};
  if ((wanted.which & SetAttributes::atime) == 0) times[0] = {0, UTIME_OMIT};
  if ((wanted.which & SetAttributes::mtime) == 0) times[1] = {0, UTIME_OMIT};
  const std::string path = node.path();
  return as_caller(daemon_, caller, [&] { return ::utimensat(AT_FDCWD, path.c_str(), times, 0); });
}

// The owner goes first, since a change of owner takes set-ID bits away; the times last, since the
// other changes move them.
Result<struct stat> DirectoryTree::set_attributes(const TreeNode& node, const TreeFile* open,
                                                  const SetAttributes& wanted,
                                                  const TreeCaller& caller) {
  const Borrowed fd = TRY(table_->borrow(node));
  const unsigned which = wanted.which;
  int code = 0;
  if ((which & (SetAttributes::uid | SetAttributes::gid)) != 0) {
    code = change_owner(fd, wanted, caller);
  }
  if (code == 0 && (which & SetAttributes::mode) != 0) {
    code = change_mode(fd, wanted.values.st_mode, caller);
  }
  if (code == 0 && (which & SetAttributes::size) != 0) {
    code = change_size(fd, open, wanted.values.st_size, caller);
  }
  if (code == 0 && (which & (SetAttributes::atime | SetAttributes::mtime)) != 0) {
    code = change_times(fd, wanted, caller);
  }
  if (code != 0) return fail_errno(code, host_path(node));
  return attributes(node);
}

Result<struct statvfs> DirectoryTree::statistics(const TreeNode& node) {
  const Borrowed fd = TRY(table_->borrow(node));
  struct statvfs statistics{};
  if (::fstatvfs(fd.get(), &statistics) != 0) return fail_errno(host_path(node));
  return statistics;
}

// The system call itself: the C library's faccessat() knows no AT_EMPTY_PATH.
Status DirectoryTree::access(const TreeNode& node, int mask, const TreeCaller& caller) {
  const Borrowed fd = TRY(table_->borrow(node));
  const int code = as_caller(daemon_, caller, [&] {
    return ::syscall(SYS_faccessat2, fd.get(), "", mask, AT_EMPTY_PATH | AT_EACCESS);
  });
  if (code != 0) return fail_errno(code, host_path(node));
  return ok();
}

int DirectoryTree::as(const TreeCaller& caller, const std::function<long()>& call) {
  return as_caller(daemon_, caller, call, CallerScope::Groups::all);
}

Status DirectoryTree::fsync(const TreeFile& file, bool data_only) {
  const int fd = file.descriptor();
  if ((data_only ? ::fdatasync(fd) : ::fsync(fd)) != 0) return fail_errno("fsync");
  return ok();
}

}  // namespace agentfs::trees
