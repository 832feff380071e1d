// SPDX-License-Identifier: MIT
// Starting other programs without running any code of ours between fork and exec.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace agentfs {

struct Spawned {
  pid_t pid = 0;
  UniqueFd process;  // a pidfd: readable when it has ended, to be reaped with waitid(P_PIDFD)
};

struct GivenFd {
  int ours = -1;
  int theirs = -1;
};

// Starts argv[0] in a session of its own, with an empty environment, default signals and the
// descriptors given. Others that lack FD_CLOEXEC are passed on: the program closes them. Takes
// well under a millisecond (vfork semantics). The parent-death signal that the program asks for
// is tied to the calling *thread*: call from one that lives as long as the process should.
Result<Spawned> spawn(const std::vector<std::string>& arguments, const std::vector<GivenFd>& fds);

// A duplicate above the numbers that are handed to programs, so that none overwrites another.
Result<UniqueFd> out_of_the_way(UniqueFd fd);

// pidfd_open(2) and pidfd_send_signal(2): glibc 2.36 declares them without C linkage.
UniqueFd open_pidfd(pid_t pid);
void send_signal(const UniqueFd& process, int signal_number);

struct BriefRun {
  int exit_code = -1;  // -1: ended by a signal, or by us after five seconds
  std::string output;  // stdout and stderr
};

// Runs a program to its end; blocks, so not for the event thread. ENOENT where it is not there.
Result<BriefRun> run_briefly(const std::vector<std::string>& arguments);

// A program of ours by its name: beside the running one (a build tree), or in ../libexec/agentfs of
// it (an installation). ENOENT with both places.
Result<std::string> find_own_program(std::string_view name);

}  // namespace agentfs
