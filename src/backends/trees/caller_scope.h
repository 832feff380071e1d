// SPDX-License-Identifier: MIT
// Doing one system call with somebody else's rights, on this thread only.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "backends/tree_store.h"

namespace agentfs::trees {

// Who the daemon itself is; taken when a store is opened, constant from then on.
struct DaemonIdentity {
  bool root = false;
  std::vector<gid_t> groups;
  static DaemonIdentity current();
};

// For its life, this thread's file access is the caller's: fsuid, fsgid, supplementary groups and,
// as the kernel ties them to the fsuid, no file capabilities but those that are given. Nothing
// changes where the daemon is not root or the caller is. Other threads are not affected.
//
// Creating as the caller, rather than creating as root and giving the file away, leaves to the
// kernel what has many rules: set-group-ID directories, default ACLs, quotas, which bits a chmod
// or chown takes away. The mount checks permissions too (default_permissions); here the disk does,
// with its ACLs, which the mount does not know.
class CallerScope {
 public:
  enum class Groups { none, all };
  // For a file that has, or is to have, this mode: a set-group-ID bit is kept or dropped by whether
  // the caller is in the file's group.
  static Groups groups_for(mode_t mode) {
    return (mode & S_ISGID) != 0 ? Groups::all : Groups::none;
  }
  // `capabilities`: bit N for number N of capabilities(7).
  CallerScope(const DaemonIdentity& daemon, const TreeCaller& caller, Groups groups,
              std::uint32_t capabilities = 0);
  ~CallerScope();
  CallerScope(const CallerScope&) = delete;
  CallerScope& operator=(const CallerScope&) = delete;
  bool taken() const { return taken_; }  // false: the kernel refused these ids

 private:
  void set_groups(const std::vector<gid_t>& groups);

  const DaemonIdentity& daemon_;
  const bool changes_;
  bool taken_ = true;
  bool groups_changed_ = false;
};

// Creates with exactly the caller's umask, which the kernel itself must apply since it does so only
// where the directory has no default ACL. The umask belongs to the process, so the thread first
// leaves the process's (with its working directory, which nothing here uses). Where a sandbox
// forbids that, the process's umask becomes 0 for good and the mode is masked here.
class UmaskScope {
 public:
  explicit UmaskScope(mode_t umask);
  ~UmaskScope();
  UmaskScope(const UmaskScope&) = delete;
  UmaskScope& operator=(const UmaskScope&) = delete;
  mode_t masked(mode_t mode) const { return own_ ? mode : mode & ~umask_; }

 private:
  const bool own_;
  const mode_t umask_;
  mode_t previous_ = 0;
};

// Runs `call` (not negative, or -1 with errno) as the caller: 0, or its errno. The supplementary
// groups are read from /proc only when it is told that they matter, or when it was refused
// without them; capabilities, of who has some and is not root, when it was refused.
int as_caller(const DaemonIdentity& daemon, const TreeCaller& caller,
              const std::function<long()>& call,
              CallerScope::Groups first = CallerScope::Groups::none);

}  // namespace agentfs::trees
