// SPDX-License-Identifier: MIT
// What the fold knows of a workspace's checkpoints on their way to git.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/json.h"

namespace agentfs {

// A checkpoint that has no commit yet.
struct PendingCheckpoint {
  std::string name{};
  std::string state{};    // "3.17", the snapshot's
  Sequence reached{};     // every change up to this record is in it
  ProcessId author{};     // who made it
  std::int64_t time = 0;  // wall clock, nanoseconds
};

struct CheckpointCommits {
  std::string commit{};                             // the last one; "" as long as there is none
  Sequence reached{};                               // every change up to this record is in it
  std::map<Sequence, PendingCheckpoint> pending{};  // by the record that tells of it
  bool is_empty() const { return commit.empty() && pending.empty(); }
};

json::Value to_json(const CheckpointCommits& commits);
CheckpointCommits checkpoint_commits_from_json(const json::Value& value);

}  // namespace agentfs
