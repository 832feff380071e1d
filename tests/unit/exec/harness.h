// SPDX-License-Identifier: MIT
// A driver, a directory it may write to, and one call that runs a command to its end.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "backends/exec/sandbox_driver.h"
#include "backends/exec/sandbox_report.h"
#include "base/event_loop.h"
#include "catch.h"
#include "support/eventually.h"
#include "support/temporary.h"

namespace agentfs {

using test::eventually;

inline const std::string kProgram = std::string(AGENTFS_BUILD_DIR) + "/agentfs-sandbox";

// Whether this machine lets us make a sandbox at all (a build machine may be one itself).
inline bool sandbox_works() {
  static const bool works = [] {
    for (const SandboxCheck& check : probe_sandbox(kProgram).checks) {
      if (check.name == "bubblewrap" && !check.ok) return false;
      if (check.name == "user namespaces" && !check.ok) return false;
    }
    return true;
  }();
  return works;
}

inline bool limits_by_cgroup() {
  static const bool there = probe_sandbox(kProgram).checks.back().ok;
  return there;
}

inline bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

#define NEEDS_SANDBOX()                                                    \
  if (!sandbox_works()) {                                                  \
    WARN("SKIPPED: this machine has no bubblewrap or no user namespaces"); \
    return;                                                                \
  }                                                                        \
  static_assert(true)

class Harness {
 public:
  Harness() : driver(std::make_unique<SandboxDriver>(loop, kProgram)) {}

  ExecRequest request(std::string command) const {
    ExecRequest request;
    request.command = std::move(command);
    request.cwd = "/workspaces/site";
    request.binds = {{directory, "/workspaces/site"}};
    request.limits.timeout_ms = 60'000;
    request.limits.memory_bytes = 512 << 20;
    request.limits.processes = 64;
    return request;
  }

  struct Pending {
    std::future<Result<ExecReply>> reply;
    Completion<ExecReply> completion;
    Result<ExecReply> get() {
      REQUIRE(reply.wait_for(std::chrono::seconds(300)) == std::future_status::ready);
      return reply.get();
    }
  };

  Pending start(ExecRequest request, std::function<void(const ExecStarted&)> started = {}) {
    auto promise = std::make_shared<std::promise<Result<ExecReply>>>();
    Pending pending;
    pending.reply = promise->get_future();
    pending.completion = Completion<ExecReply>(
        [promise](Result<ExecReply> result) { promise->set_value(std::move(result)); });
    driver->start(std::move(request), std::move(started), pending.completion);
    return pending;
  }

  Result<ExecReply> run(ExecRequest request) { return start(std::move(request)).get(); }
  // Runs a command that is expected to be run, whatever its end.
  ExecReply reply(ExecRequest request) {
    auto result = run(std::move(request));
    INFO((result ? "" : result.error().message));
    REQUIRE(result);
    return *std::move(result);
  }
  ExecReply reply(std::string command) { return reply(request(std::move(command))); }
  std::string output(std::string command) { return reply(std::move(command)).output; }

  const test::TemporaryDirectory place;
  const std::string directory = place.path();
  EventLoop loop;
  std::unique_ptr<SandboxDriver> driver;
};

}  // namespace agentfs
