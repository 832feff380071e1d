// SPDX-License-Identifier: MIT
#include "backends/exec/inside/landlock.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/landlock.h"

namespace agentfs::exec {
namespace {

void check(int code, const std::string& what) {
  if (code != 0) fail_with(what + ": " + std::strerror(code), code);
}

void allow(landlock::Rules& rules, const std::string& path, std::uint64_t files) {
  const int code = rules.allow(path.c_str(), files);
  if (code != ENOENT) check(code, "Landlock: rule for " + path);
}

}  // namespace

void restrict_writes(const Spec& spec) {
  if (landlock::version() == 0) {
    // Nothing else keeps what runs as root from what root owns in /proc/sys.
    if (::getuid() == 0) fail_with("Landlock, which a sandbox of root needs", ENOSYS);
    return;
  }
  landlock::Rules rules;
  // TCP is not handled: without a grant the network namespace is empty.
  const std::uint64_t handled =
      landlock::kTreeWrites | landlock::kMakeDevices | landlock::kDeviceControl;
  check(rules.make({.files = handled}), "Landlock: ruleset");
  for (const std::string& path : spec.writable) allow(rules, path, landlock::kTreeWrites);
  for (const char* path : {"/tmp", "/dev/shm"}) allow(rules, path, landlock::kTreeWrites);
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
                           "/dev/tty", "/dev/pts"}) {
    allow(rules, path, landlock::kDeviceWrites);
  }
  check(rules.enforce(), "Landlock: restrict");
}

}  // namespace agentfs::exec
