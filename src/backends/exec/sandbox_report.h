// SPDX-License-Identifier: MIT
// What this system has of what the sandbox needs, for `agentfs doctor`.
#pragma once

#include <string>
#include <vector>

namespace agentfs {

struct SandboxCheck {
  std::string name;  // "bubblewrap", "user namespaces", "Landlock", "cgroups", ...
  bool ok = false;
  std::string text;    // what was found
  std::string advice;  // what to do; empty where it is ok
};

struct SandboxReport {
  std::vector<SandboxCheck> checks;
  bool ok() const;  // all of them
};

// Runs bubblewrap a few times: blocks for some 20 ms. `program` is agentfs-sandbox.
SandboxReport probe_sandbox(const std::string& program);

}  // namespace agentfs
