// SPDX-License-Identifier: MIT
// Runs command lines on a device.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/completion.h"

namespace agentfs {

struct ExecLimits {
  std::int64_t timeout_ms = 120'000;
  std::int64_t memory_bytes = std::int64_t{2} << 30;
  std::int64_t processes = 256;
  std::int64_t output_bytes = std::int64_t{1} << 20;  // kept; what comes after is dropped
  std::int64_t file_bytes = 0;                        // largest file it may write; 0: no limit
};

// Whose rights a command has on the host.
struct ExecUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups{};
};

// What a command sees in the place of one of its binds, a kernel overlay: it shows `lower`, and
// what is changed goes to `upper`. The bind's host path is not looked at. All three are directories
// of the host, the last two of one disk and of nobody else; the root inside has the attributes of
// `upper`. Takes a daemon of root and a sandbox.
struct ExecOverlay {
  std::string inside{};  // the path inside of the bind
  std::string lower{};
  std::string upper{};
  std::string work{};
};

struct ExecRequest {
  std::string command;  // given to sh -c
  std::string cwd;      // path inside the sandbox, below one of the binds
  // Directories the command sees, host path and path inside; writable.
  std::vector<std::pair<std::string, std::string>> binds;
  std::optional<ExecOverlay> overlay{};
  std::vector<std::pair<std::string, std::string>> environment;
  bool network = false;
  bool sandbox = true;             // false only where the owner's settings say so
  std::optional<ExecUser> user{};  // nobody: the daemon's own
  ExecLimits limits;
};

struct ExecReply {
  std::string output;    // stdout and stderr as they came
  int exit_code = 0;     // -1 when a signal ended it
  std::string signal;    // "KILL", or ""
  std::string ended_by;  // "", "timeout", "cancel", "output", "memory"
  std::int64_t elapsed_ms = 0;
  std::int64_t dropped_bytes = 0;  // of the output, beyond the limit
  bool abandoned = false;          // answered for, though it could not be killed: it may still run
};

// Identity of a running command: known before its first instruction runs.
struct ExecStarted {
  // The first process inside, as the host numbers it; without a sandbox, the one that all of the
  // command comes from, and is below for as long as any of it lives.
  pid_t host_pid = 0;
  std::uint64_t pid_namespace = 0;  // inode of its pid namespace; 0 without a sandbox
};

// Threads: start() from any; callbacks on the event thread. Errors: EPERM no sandbox can be made
// here, or the daemon is not root and the user another (the sentence says why), EINVAL, EINTR
// cancelled before it began, ENOTSUP the overlay cannot be made here. With the reply all processes
// that saw the overlay have ended (but see ExecReply::abandoned). A command that ran and failed is
// a reply, not an error. Cancelling kills every process of the command; the reply then says
// ended_by "cancel" with the output so far.
class ExecDriver {
 public:
  virtual ~ExecDriver() = default;
  virtual void start(ExecRequest request, std::function<void(const ExecStarted&)> started,
                     Completion<ExecReply> done) = 0;
};

}  // namespace agentfs
