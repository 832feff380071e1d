// SPDX-License-Identifier: MIT
#include "base/landlock.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace agentfs::landlock {
namespace {

// The distribution's <linux/landlock.h> ends at version 2 of 7, so the interface stands here.
struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};

struct __attribute__((packed)) PathBeneath {
  std::uint64_t allowed;
  std::int32_t parent;
};

constexpr long kVersionFlag = 1;
constexpr long kRulePathBeneath = 1;
constexpr std::uint64_t kTcp = 3;      // version 4: bind and connect
constexpr std::uint64_t kOutside = 3;  // version 6: abstract sockets and signals

std::uint64_t known_files(int abi) {
  std::uint64_t known = kRefer - 1;
  if (abi >= 2) known |= kRefer;
  if (abi >= 3) known |= kTruncate;
  if (abi >= 5) known |= kDeviceControl;
  return known;
}

std::size_t size_for(int abi) {
  if (abi < 4) return sizeof(std::uint64_t);
  return abi < 6 ? 2 * sizeof(std::uint64_t) : sizeof(Ruleset);
}

}  // namespace

int version() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  return version < 0 ? 0 : static_cast<int>(version);
}

Rules::~Rules() {
  if (fd_ >= 0) ::close(fd_);
}

int Rules::make(const Handled& handled) {
  const int abi = version();
  Ruleset ruleset;
  ruleset.files = files_ = handled.files & known_files(abi);
  if (handled.tcp && abi >= 4) ruleset.network = kTcp;
  if (abi >= 6) ruleset.scoped = kOutside;
  const long made = ::syscall(SYS_landlock_create_ruleset, &ruleset, size_for(abi), 0);
  fd_ = made < 0 ? -1 : static_cast<int>(made);
  return made < 0 ? errno : 0;
}

int Rules::allow(const char* path, std::uint64_t files, bool is_link_refused) {
  const int parent = ::open(path, O_PATH | O_CLOEXEC | (is_link_refused ? O_NOFOLLOW : 0));
  if (parent < 0) return errno;
  // Without following, O_PATH opens a link itself, for which the kernel takes no rule.
  const PathBeneath rule{files & files_, parent};
  const bool refused = ::syscall(SYS_landlock_add_rule, fd_, kRulePathBeneath, &rule, 0) != 0;
  const int code = refused ? errno : 0;
  ::close(parent);
  return code;
}

int Rules::enforce() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return ::syscall(SYS_landlock_restrict_self, fd_, 0) != 0 ? errno : 0;
}

}  // namespace agentfs::landlock
