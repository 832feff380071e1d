// SPDX-License-Identifier: MIT
// Who asks: every request carries one of these from the file it came through to the journal.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/completion.h"
#include "base/ids.h"

namespace agentfs {

class Kernel;

// The process of the host that made a request, as resolved while the request is held.
struct HostCaller {
  pid_t pid = 0;  // thread group; 0: none (the daemon itself, or not to be seen)
  uid_t uid = 0;
  gid_t gid = 0;
  std::string command{};  // its comm
  std::string session{};  // login session: "<sid>.<start time of its leader>"
  std::uint64_t pid_namespace = 0;
  // Of the daemon's own children, the one that it is or comes from, where commands without a
  // sandbox run; 0: none.
  pid_t child = 0;
  std::vector<gid_t> groups{};  // where there is no pid: the supplementary ones of an agent's owner
};

// A command that runs on behalf of a process: what its processes are known by.
struct CommandIdentity {
  std::uint64_t pid_namespace = 0;  // of its sandbox; 0: it has none
  pid_t supervisor = 0;             // without one, the daemon's child that all of it comes from
  ProcessId process{};
  std::string via{};  // "call:3", or "" for a person's own exec
};

// A value; cheap to copy. `process` acts: an agent, or the init process of a person. A request of
// an agent's own tool call has `via` "call:<n>", no host process, and its owner's ids.
struct Caller {
  Kernel* kernel = nullptr;
  ProcessId process{};
  HostCaller host{};
  std::string path{};  // file of the mount that the request came through, "" if none
  std::string via{};

  // The daemon itself, of its own accord.
  static Caller daemon(Kernel& kernel) { return {.kernel = &kernel}; }

  // A syscall through the gate (kernel/syscalls/gate.h): checks, journal, handler.
  template <class Args>
  Result<typename Args::Reply> call(const Args& args) const;
  // The same for one that answers later.
  template <class Args>
  void start(const Args& args, Completion<typename Args::Reply> done) const;
};

}  // namespace agentfs
