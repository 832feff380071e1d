// SPDX-License-Identifier: MIT
#include "backends/exec/inside/seccomp.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "backends/exec/inside/spec.h"

namespace agentfs::exec {
namespace {

constexpr auto kRefused = std::to_array<const char*>({
    // Mounts and roots.
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "move_mount",
    "open_tree",
    "mount_setattr",
    // Namespaces.
    "setns",
    "unshare",
    // Other processes.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    // The kernel itself.
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "reboot",
    "syslog",
    "acct",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "nfsservctl",
    "iopl",
    "ioperm",
    "uselib",
    "vhangup",
    "lookup_dcookie",
    "fanotify_init",
    "sethostname",
    "setdomainname",
    "_sysctl",
    // The clock.
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    // Keys, handles and memory that pass by paths and limits.
    "add_key",
    "request_key",
    "keyctl",
    "open_by_handle_at",
    "memfd_secret",
    // Rings, whose operations no filter sees.
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
});

// Calls newer than the libseccomp of the oldest distribution served; one number for all machines.
constexpr auto kRefusedNumbers = std::to_array<int>({
    467,  // open_tree_attr
});

constexpr auto kNamespaceFlags =
    std::to_array<std::uint64_t>({CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                  CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET});

constexpr std::uint64_t kLow = 0xffffffff;  // the kernel reads these arguments as 32 bits

// True of calls whose argument, under the mask, is the value. (The macros of <seccomp.h> are C.)
constexpr scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ALLOW)) {
    if (context_ == nullptr) fail_with("seccomp: no filter", ENOMEM);
    // A second architecture would pass by the numbers above.
    seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree instead of a list
  }
  ~Filter() { seccomp_release(context_); }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  void refuse(const char* name, int answer = EPERM) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number != __NR_SCMP_ERROR) refuse(number, answer);
  }
  void refuse(int number, int answer = EPERM) {
    check(seccomp_rule_add(context_, SCMP_ACT_ERRNO(static_cast<unsigned>(answer)), number, 0));
  }
  void refuse_when(const char* name, scmp_arg_cmp one) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    check(seccomp_rule_add_array(context_, SCMP_ACT_ERRNO(EPERM), number, 1, &one));
  }
  void refuse_when(const char* name, scmp_arg_cmp one, scmp_arg_cmp two) {
    const std::array both{one, two};
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    check(seccomp_rule_add_array(context_, SCMP_ACT_ERRNO(EPERM), number, 2, both.data()));
  }
  void load() { check(seccomp_load(context_)); }

 private:
  // -EDOM and -EEXIST: the call is not one of this machine, or stands in the filter already.
  static void check(int answer) {
    if (answer < 0 && answer != -EDOM && answer != -EEXIST) fail_with("seccomp", -answer);
  }
  scmp_filter_ctx context_;
};

void refuse_namespaces(Filter& filter) {
  for (const std::uint64_t flag : kNamespaceFlags) {
    filter.refuse_when("clone", masked(0, flag, flag));
  }
  filter.refuse("clone3", ENOSYS);
}

// What remains: unix, both internets, and netlink for routes (which libc asks for addresses).
void refuse_sockets(Filter& filter) {
  constexpr unsigned kLastFamilyTested = AF_NETLINK;
  for (unsigned family = AF_INET + 1; family < kLastFamilyTested; ++family) {
    if (family == AF_INET6) continue;
    filter.refuse_when("socket", masked(0, kLow, family));
  }
  filter.refuse_when("socket", scmp_arg_cmp{0, SCMP_CMP_GT, kLastFamilyTested, 0});
  filter.refuse_when("socket", masked(0, kLow, AF_NETLINK), scmp_arg_cmp{2, SCMP_CMP_NE, 0, 0});
}

}  // namespace

void refuse_system_calls() {
  Filter filter;
  for (const char* name : kRefused) filter.refuse(name);
  for (const int number : kRefusedNumbers) filter.refuse(number);
  refuse_namespaces(filter);
  refuse_sockets(filter);
  filter.refuse_when("personality", scmp_arg_cmp{0, SCMP_CMP_NE, kLow, 0});  // asking is allowed
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    filter.refuse_when("ioctl", masked(1, kLow, request));
  }
  filter.load();
}

}  // namespace agentfs::exec
