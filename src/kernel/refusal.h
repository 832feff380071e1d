// SPDX-License-Identifier: MIT
// What an agent was not let write over: one directory of /sys/conflicts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/json.h"

namespace agentfs {

// Immutable. Its bytes are plain files in STATE/conflicts/<number>: `theirs` is what was refused,
// `base` what the process had seen, where that is known.
struct Refusal {
  std::uint64_t number = 0;  // never given twice in one state
  std::string path{};        // of the mount: "/workspaces/site/main.c"
  ProcessId process{};       // that was refused
  std::string author{};      // its lineage: "7<1<root"
  std::string reason{};      // the sentence that it was told
  std::string digest{};      // of theirs
  std::int64_t time = 0;     // wall clock, nanoseconds
  std::uint64_t bytes = 0;   // that base and theirs hold
  bool has_base = false;
};
using RefusalRef = std::shared_ptr<const Refusal>;
using Refusals = std::map<std::uint64_t, RefusalRef>;

json::Value to_json(const Refusal& refusal);
Refusal refusal_from_json(const json::Value& value);

}  // namespace agentfs
