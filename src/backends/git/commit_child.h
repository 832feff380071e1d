// SPDX-License-Identifier: MIT
// One agentfs-commit: started, given its one order, followed to its end.
#pragma once

#include <signal.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/spawn.h"

namespace agentfs::git {

// From its start on it waits for an order, initialised, with no descriptor but its three and no
// repository. It tells by a byte that it has read the order whole, before it does anything: one
// that ended without has changed nothing. Owned by who started it; killed and reaped with this.
//
// Threads: one at a time. The process dies with the thread that started it.
class CommitChild {
 public:
  static Result<std::unique_ptr<CommitChild>> start(const std::string& program);
  ~CommitChild();
  CommitChild(const CommitChild&) = delete;
  CommitChild& operator=(const CommitChild&) = delete;

  // Whether the process is still there.
  bool is_alive() const;
  // Gives it the order and reads what it says until it has ended; once. `stopped` is a descriptor
  // that gets readable when it shall end at once. Ended or not, the process is gone afterwards.
  // Errors: ETIMEDOUT at the deadline, EINTR where it was stopped.
  Status serve(std::string_view order, int stopped, std::chrono::milliseconds deadline);

  // After serve(): whether it read its order whole, what it said, and how it ended.
  bool has_begun() const { return begun_; }
  const std::string& said() const { return said_; }
  const siginfo_t& status() const { return status_; }

 private:
  CommitChild() = default;
  Status follow(std::string_view order, int stopped, std::chrono::milliseconds deadline);
  // False once all of the order is given, or nobody takes it.
  bool give(std::string_view& order);
  void kill();
  void reap();

  Spawned spawned_;
  UniqueFd input_;   // our end of its standard input, a socket
  UniqueFd output_;  // of what it says
  std::string said_;
  bool begun_ = false;
  bool ended_ = false;
  siginfo_t status_{};
};

}  // namespace agentfs::git
