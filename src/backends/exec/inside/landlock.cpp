// SPDX-License-Identifier: MIT
#include "backends/exec/inside/landlock.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace agentfs::exec {
namespace {

// The distribution's <linux/landlock.h> ends at version 2 of 7, so the interface stands here.
namespace access_to {
constexpr std::uint64_t kWriteFile = 1u << 1;
constexpr std::uint64_t kRemoveDirectory = 1u << 4;
constexpr std::uint64_t kRemoveFile = 1u << 5;
constexpr std::uint64_t kMakeCharacterDevice = 1u << 6;
constexpr std::uint64_t kMakeDirectory = 1u << 7;
constexpr std::uint64_t kMakeFile = 1u << 8;
constexpr std::uint64_t kMakeSocket = 1u << 9;
constexpr std::uint64_t kMakeFifo = 1u << 10;
constexpr std::uint64_t kMakeBlockDevice = 1u << 11;
constexpr std::uint64_t kMakeSymlink = 1u << 12;
constexpr std::uint64_t kRefer = 1u << 13;          // version 2
constexpr std::uint64_t kTruncate = 1u << 14;       // version 3
constexpr std::uint64_t kDeviceControl = 1u << 15;  // version 5
constexpr std::uint64_t kOutside = 3;               // version 6: abstract sockets and signals
constexpr std::uint64_t kTrees = kWriteFile | kRemoveDirectory | kRemoveFile | kMakeDirectory |
                                 kMakeFile | kMakeSocket | kMakeFifo | kMakeSymlink | kRefer |
                                 kTruncate;
constexpr std::uint64_t kDevices = kWriteFile | kTruncate | kDeviceControl;
}  // namespace access_to

struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;  // not handled: without a grant the network namespace is empty
  std::uint64_t scoped = 0;
};

struct __attribute__((packed)) PathBeneath {
  std::uint64_t allowed;
  std::int32_t parent;
};

constexpr long kVersionFlag = 1;
constexpr long kRulePathBeneath = 1;

Ruleset ruleset_for(int abi) {
  Ruleset ruleset;
  ruleset.files = (access_to::kTrees & ~(access_to::kRefer | access_to::kTruncate)) |
                  access_to::kMakeCharacterDevice | access_to::kMakeBlockDevice;
  if (abi >= 2) ruleset.files |= access_to::kRefer;
  if (abi >= 3) ruleset.files |= access_to::kTruncate;
  if (abi >= 5) ruleset.files |= access_to::kDeviceControl;
  if (abi >= 6) ruleset.scoped = access_to::kOutside;
  return ruleset;
}

std::size_t size_for(int abi) {
  if (abi < 4) return sizeof(std::uint64_t);
  return abi < 6 ? 2 * sizeof(std::uint64_t) : sizeof(Ruleset);
}

void allow(int ruleset, const std::string& path, std::uint64_t allowed) {
  const int parent = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  if (parent < 0) {
    if (errno == ENOENT) return;
    fail_with(path);
  }
  const PathBeneath rule{allowed, parent};
  if (::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) != 0) {
    fail_with("Landlock: rule for " + path);
  }
  ::close(parent);
}

}  // namespace

int landlock_abi() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  return version < 0 ? 0 : static_cast<int>(version);
}

void restrict_writes(const Spec& spec) {
  const int abi = landlock_abi();
  if (abi == 0) {
    // Nothing else keeps what runs as root from what root owns in /proc/sys.
    if (::getuid() == 0) fail_with("Landlock, which a sandbox of root needs", ENOSYS);
    return;
  }
  const Ruleset handled = ruleset_for(abi);
  const long made = ::syscall(SYS_landlock_create_ruleset, &handled, size_for(abi), 0);
  if (made < 0) fail_with("Landlock: ruleset");
  const int ruleset = static_cast<int>(made);
  for (const std::string& path : spec.writable) {
    allow(ruleset, path, handled.files & access_to::kTrees);
  }
  for (const char* path : {"/tmp", "/dev/shm"}) {
    allow(ruleset, path, handled.files & access_to::kTrees);
  }
  for (const char* path :
       {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}) {
    allow(ruleset, path, handled.files & access_to::kDevices);
  }
  allow(ruleset, "/dev/pts", handled.files & access_to::kDevices);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail_with("no_new_privs");
  if (::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) fail_with("Landlock: restrict");
  ::close(ruleset);
}

}  // namespace agentfs::exec
