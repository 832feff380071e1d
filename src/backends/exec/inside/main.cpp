// SPDX-License-Identifier: MIT
// agentfs-sandbox: the steps between the daemon and a command line.
//
//   agentfs-sandbox enter PARENT PROGRAM ARGUMENTS...   joins its cgroups, mounts the overlay if
//                                                       one is asked for, becomes the user, runs
//                                                       bubblewrap
//   agentfs-sandbox inside                              first process in there: confines and runs
//   agentfs-sandbox plain PARENT                        joins its cgroups, runs without a sandbox
//   agentfs-sandbox landlock                            prints the version of the kernel's Landlock
//
// PARENT is the process that must still be there. inside/protocol.h has the descriptors.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "backends/exec/inside/groups.h"
#include "backends/exec/inside/overlay.h"
#include "backends/exec/inside/supervise.h"
#include "backends/exec/inside/user.h"
#include "base/landlock.h"

namespace agentfs::exec {
namespace {

// The daemon's other descriptors end here, whatever their flags were.
void close_above(int last) {
  if (::close_range(static_cast<unsigned>(last + 1), ~0u, 0) != 0) fail_with("close_range");
}

void follow_parent_into_death(const char* parent, int signal_number) {
  ::prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0);
  if (::getppid() != std::atoi(parent)) ::_exit(127);  // it died before the line above
  ::umask(022);
}

[[noreturn]] void enter(char** arguments) {
  follow_parent_into_death(arguments[0], SIGKILL);
  close_above(kInfoFd);
  const Spec spec = read_spec();
  join_groups(spec);
  mount_overlay(spec);
  become_user(spec);
  follow_parent_into_death(arguments[0], SIGKILL);
  char* no_environment[] = {nullptr};
  ::execve(arguments[1], arguments + 1, no_environment);
  fail_with(arguments[1]);
}

[[noreturn]] void plain(const char* parent) {
  follow_parent_into_death(parent, SIGTERM);
  close_above(kSpecFd);
  const Spec spec = read_spec();
  join_groups(spec);
  supervise(spec, Confinement::none);
}

int run(int count, char** arguments) {
  const std::string_view step = count > 1 ? arguments[1] : "";
  if (step == "enter" && count > 3) enter(arguments + 2);
  if (step == "inside") {
    close_above(kSpecFd);
    supervise(read_spec(), Confinement::sandbox);
  }
  if (step == "plain" && count == 3) plain(arguments[2]);
  if (step == "landlock") {
    std::printf("%d\n", landlock::version());
    return 0;
  }
  std::fputs("agentfs-sandbox: run by agentfs, not by hand\n", stderr);
  return 2;
}

}  // namespace
}  // namespace agentfs::exec

int main(int count, char** arguments) { return agentfs::exec::run(count, arguments); }
