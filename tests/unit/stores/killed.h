// SPDX-License-Identifier: MIT
// Runs a function in a process that is killed with SIGKILL in the middle of it.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>

namespace agentfs::test {

// `work(n)` is called in a child with n = 1, 2, …; each true one is acknowledged. After `rounds`
// acknowledgements the child is killed. Returns the last number it acknowledged.
inline std::uint64_t run_and_kill(std::uint64_t rounds,
                                  const std::function<bool(std::uint64_t)>& work) {
  int pipe_ends[2] = {-1, -1};
  if (::pipe(pipe_ends) != 0) return 0;
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe_ends[0]);
    for (std::uint64_t n = 1; work(n); ++n) {
      if (::write(pipe_ends[1], &n, sizeof(n)) != sizeof(n)) break;
    }
    ::_exit(1);
  }
  ::close(pipe_ends[1]);
  std::uint64_t last = 0;
  std::uint64_t next = 0;
  while (::read(pipe_ends[0], &next, sizeof(next)) == sizeof(next)) {
    last = next;
    if (last == rounds) ::kill(child, SIGKILL);
  }
  ::close(pipe_ends[0]);
  ::waitpid(child, nullptr, 0);
  return last;
}

}  // namespace agentfs::test
