// SPDX-License-Identifier: MIT
// What the fold knows of a workspace's checkpoints on their way to git.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

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

// A checkpoint that has one.
struct CommittedCheckpoint {
  std::string commit{};
  std::string state{};
  Sequence made{};  // the record of the checkpoint
  Sequence told{};  // the record of the commit, which was written by then
};

struct CheckpointCommits {
  static constexpr std::size_t kMostEarlier = 32;

  std::string commit{};    // the last one; "" as long as there is none
  std::string state{};     // what it is of; "" where that is not known
  Sequence reached{};      // every change up to this record is in it
  Sequence rolled_back{};  // the record of the last rollback since; 0 where there was none
  // The newest ones, oldest first. A workspace's own repository goes back with it: after a rollback
  // these are the ones that it had when the state was kept that it has now.
  std::vector<CommittedCheckpoint> earlier{};
  std::map<Sequence, PendingCheckpoint> pending{};  // by the record that tells of it
  bool is_empty() const { return commit.empty() && pending.empty(); }
};

json::Value to_json(const CheckpointCommits& commits);
CheckpointCommits checkpoint_commits_from_json(const json::Value& value);

}  // namespace agentfs
