// SPDX-License-Identifier: MIT
// The rows of the fold: one a kind of record. Private to the kernel's fold_*.cpp.
#pragma once

#include <span>
#include <string_view>

#include "kernel/fold.h"
#include "kernel/kinds.h"

namespace agentfs::fold {

struct Row {
  std::string_view kind{};
  Status (*check)(const Fold&, json::Value& data) = nullptr;  // null: always fits
  void (*apply)(Fold&, const Record&) = nullptr;              // null: told, changes nothing
};

std::span<const Row> process_rows();
std::span<const Row> run_rows();
std::span<const Row> call_rows();
std::span<const Row> tree_rows();
std::span<const Row> history_rows();
std::span<const Row> quota_rows();
std::span<const Row> conflict_rows();
std::span<const Row> checkpoint_rows();

// What a record of a tree says of old contents: one that was kept, a name that is there again.
void note_history(Fold& fold, const Record& record);
// Limits follow their tree: to its forks, to another name, out of the world.
void note_quotas(Fold& fold, const Record& record);
// A checkpoint that is to become a commit; a rollback, with which commits may have gone; a
// checkpoint that is gone; a fork, whose next commit has what has changed since its parent's last
// one.
void note_checkpoint(Fold& fold, const Record& record);
void note_rollback(Fold& fold, const Record& record);
void note_dropped_checkpoint(Fold& fold, const Record& record);
void note_fork(Fold& fold, const Record& record);
// Of workspaces that get another name: what is taken before is put under the new one.
struct MovedCheckpoints {
  std::string from{};
  std::string to{};
  CheckpointCommits of_from{};
  CheckpointCommits of_to{};
};
MovedCheckpoints take_checkpoints(const Fold& fold, const Record& record);
void put_checkpoints(Fold& fold, const Record& record, MovedCheckpoints moved);
// Whether such a record is of a new name: of a file, link, directory, pipe or socket.
bool makes_a_name(std::string_view kind);
// What a record of a tree changes in the generations of its paths.
void note_generations(Fold& fold, const Record& record);

inline ProcessId pid_of(const json::Value& data) {
  return {static_cast<std::uint64_t>(data["pid"].number())};
}
// The process that the data names, where it may still change.
Result<ProcessRef> target(const Fold& fold, const json::Value& data);
// The same with a run under way; EBUSY.
Result<ProcessRef> running_target(const Fold& fold, const json::Value& data);
std::unexpected<Error> refuse(const Process& process, std::string_view what);

// The state that run, calls and queue give a process that nothing holds.
RunState natural_state(const Process& process);
// Follows the natural state, unless the process is stopped, draining or dead.
void settle(Process& process);
// Appends to the conversation: gives the message its number, time and run.
void say(Fold& fold, Process& process, Message message, const Record& record);
void take_queued(Fold& fold, Process& process, const Record& record);
void queue_message(Process& process, const Record& record, std::string_view text);
// Ends the run under way: cancels what is open, charges its wall time.
void finish_run(Fold& fold, Process& process, const Record& record, std::string_view outcome);
void end_call(Fold& fold, Process& process, Call call, const Record& record);

}  // namespace agentfs::fold
