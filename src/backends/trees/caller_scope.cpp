// SPDX-License-Identifier: MIT
#include "backends/trees/caller_scope.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/users.h"

namespace agentfs::trees {
namespace {

std::vector<gid_t> groups_of(const TreeCaller& caller) {
  return caller.pid > 0 ? groups_of_process(caller.pid) : caller.groups;
}

bool thread_has_own_umask() {
  thread_local const bool own = ::unshare(CLONE_FS) == 0;
  if (!own) {
    static const mode_t cleared = ::umask(0);
    (void)cleared;
  }
  return own;
}

// setfsuid() and setfsgid() tell no errors; an invalid id changes nothing and asks.
constexpr uid_t kAsk = static_cast<uid_t>(-1);

bool set_fsuid(uid_t uid) {
  ::setfsuid(uid);
  return static_cast<uid_t>(::setfsuid(kAsk)) == uid;
}

bool set_fsgid(gid_t gid) {
  ::setfsgid(gid);
  return static_cast<gid_t>(::setfsgid(kAsk)) == gid;
}

constexpr std::uint32_t bit(int capability) { return std::uint32_t{1} << capability; }

// Those that setfsuid() takes away.
constexpr std::uint32_t kOfFiles = bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) |
                                   bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER) | bit(CAP_FSETID) |
                                   bit(CAP_LINUX_IMMUTABLE) | bit(CAP_MKNOD);

// Effective, on this thread, of those that it may have; the C library has no call for it.
bool raise(std::uint32_t capabilities) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  sets.front().effective |= capabilities & sets.front().permitted;
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

}  // namespace

DaemonIdentity DaemonIdentity::current() {
  DaemonIdentity identity;
  identity.root = ::geteuid() == 0;
  const int count = ::getgroups(0, nullptr);
  if (count > 0) {
    identity.groups.resize(static_cast<std::size_t>(count));
    identity.groups.resize(
        static_cast<std::size_t>(std::max(0, ::getgroups(count, identity.groups.data()))));
  }
  return identity;
}

CallerScope::CallerScope(const DaemonIdentity& daemon, const TreeCaller& caller, Groups groups,
                         std::uint32_t capabilities)
    : daemon_(daemon), changes_(daemon.root && (caller.uid != 0 || caller.gid != 0)) {
  if (!changes_) return;
  // The groups come first: the ids decide with which capabilities the rest is done.
  if (caller.uid != 0) {
    const auto wanted = groups == Groups::all ? groups_of(caller) : std::vector<gid_t>{};
    if (wanted != daemon_.groups) set_groups(wanted);
  }
  taken_ = taken_ && set_fsgid(caller.gid) && set_fsuid(caller.uid) &&
           (capabilities == 0 || raise(capabilities));
}

CallerScope::~CallerScope() {
  if (!changes_) return;
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
  if (groups_changed_) set_groups(daemon_.groups);
}

// The C library's setgroups() changes all threads; the system call only this one.
void CallerScope::set_groups(const std::vector<gid_t>& groups) {
  taken_ = ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
  groups_changed_ = true;
}

UmaskScope::UmaskScope(mode_t umask) : own_(thread_has_own_umask()), umask_(umask & 0777) {
  if (own_) previous_ = ::umask(umask_);
}

UmaskScope::~UmaskScope() {
  if (own_) ::umask(previous_);
}

int as_caller(const DaemonIdentity& daemon, const TreeCaller& caller,
              const std::function<long()>& call, CallerScope::Groups first) {
  // A group may be denied what all others may; of a request the mount has asked that before.
  if (caller.pid == 0) first = CallerScope::Groups::all;
  const auto attempt = [&](CallerScope::Groups groups, std::uint32_t capabilities) {
    const CallerScope scope(daemon, caller, groups, capabilities);
    if (!scope.taken()) return EPERM;
    return call() < 0 ? errno : 0;
  };
  const auto is_refusal = [&](int code) {
    return (code == EACCES || code == EPERM) && daemon.root && caller.uid != 0;
  };
  int code = attempt(first, 0);
  if (is_refusal(code) && first == CallerScope::Groups::none) {
    code = attempt(CallerScope::Groups::all, 0);
  }
  if (!is_refusal(code) || caller.pid <= 0) return code;
  const auto capabilities =
      static_cast<std::uint32_t>(capabilities_of_process(caller.pid, caller.uid)) & kOfFiles;
  return capabilities == 0 ? code : attempt(CallerScope::Groups::all, capabilities);
}

}  // namespace agentfs::trees
