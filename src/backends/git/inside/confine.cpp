// SPDX-License-Identifier: MIT
#include "backends/git/inside/confine.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/landlock.h"

namespace agentfs::git {
namespace {

[[maybe_unused]] constexpr rlim_t kMemory = rlim_t{1} << 30;  // not with sanitizers
constexpr rlim_t kFileBytes = rlim_t{2} << 30;
constexpr rlim_t kDescriptors = 1024;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define AGENTFS_HAS_SHADOW_MEMORY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define AGENTFS_HAS_SHADOW_MEMORY
#endif
#endif

Status limit(int resource, rlim_t most, const char* name) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return fail_errno(name);
  const rlim_t bound = now.rlim_max < most ? now.rlim_max : most;
  const rlimit wanted{.rlim_cur = bound, .rlim_max = bound};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &wanted) != 0) return fail_errno(name);
  return ok();
}

bool is_anothers(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 && found.st_uid != 0;
}

// Workspaces belong to whoever's they are, so root's rights over files stay. What is made in
// somebody's repository is given to them.
Status drop_capabilities(const TurnCommit& commit) {
  if (::geteuid() != 0) return ok();
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return fail_errno("capget");
  std::uint32_t kept = (1u << CAP_DAC_OVERRIDE) | (1u << CAP_FOWNER);
  if (is_anothers(commit.worktree) || is_anothers(commit.worktree + "/.git")) {
    kept |= 1u << CAP_CHOWN;
  }
  for (auto& set : sets) set.inheritable = 0;
  sets[0].effective = sets[0].permitted = sets[0].permitted & kept;
  sets[1].effective = sets[1].permitted = 0;
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return fail_errno("capset");
  return ok();
}

}  // namespace

Status limit_resources() {
  // A file that grows too large is an error of write(2), not the end.
  ::signal(SIGXFSZ, SIG_IGN);
#if !defined(AGENTFS_HAS_SHADOW_MEMORY)
  TRY(limit(RLIMIT_AS, kMemory, "RLIMIT_AS"));
#endif
  TRY(limit(RLIMIT_CORE, 0, "RLIMIT_CORE"));
  TRY(limit(RLIMIT_FSIZE, kFileBytes, "RLIMIT_FSIZE"));
  return limit(RLIMIT_NOFILE, kDescriptors, "RLIMIT_NOFILE");
}

Status confine(const TurnCommit& commit) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("PR_SET_NO_NEW_PRIVS");
  if (landlock::version() == 0) return drop_capabilities(commit);
  landlock::Rules rules;
  constexpr std::uint64_t files = landlock::kReads | landlock::kTreeWrites;
  if (const int code = rules.make(
          {.files = files | landlock::kExecute | landlock::kMakeDevices | landlock::kDeviceControl,
           .tcp = true})) {
    return fail_errno(code, "Landlock");
  }
  for (const std::string* path : {&commit.worktree, &commit.git_directory, &commit.source}) {
    if (path->empty()) continue;
    if (const int code = rules.allow(path->c_str(), files, true)) return fail_errno(code, *path);
  }
  if (const int code = rules.enforce()) return fail_errno(code, "Landlock");
  return drop_capabilities(commit);
}

}  // namespace agentfs::git
