// SPDX-License-Identifier: MIT
// The durable state of the kernel: what the records of the journal add up to.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "kernel/changed_paths.h"
#include "kernel/checkpoint_record.h"
#include "kernel/ended_trees.h"
#include "kernel/generations.h"
#include "kernel/history.h"
#include "kernel/process.h"
#include "kernel/quota.h"
#include "kernel/record.h"
#include "kernel/refusal.h"

namespace agentfs {

// What has changed under /workspaces/<name>, and up to where each process has committed it.
struct WorkspaceChanges {
  ChangedPaths changed;
  std::map<ProcessId, Sequence> committed;  // everything up to this record is in its commits
  CheckpointCommits checkpoints;
};

// One object as it stands, for the store: immutable, so that its text can be made without a lock.
struct StoredObject {
  std::string collection;
  std::string key;
  // None: removed.
  std::variant<std::monostate, ProcessRef, MessageRef, CallRef, PathEdit, Sequence,
               CheckpointCommits, FileVersionRef, Quota, Generations::Entry, RefusalRef, EndedTree>
      object;
  std::optional<std::string> json() const;
};

// A value that belongs to one owner, who serialises all calls (the kernel: under its locks).
// apply() is the only function that changes it, and depends on nothing but the state and the
// record: the same records give the same state. The rows are in fold_*.cpp.
class Fold {
 public:
  // Whether a record of this kind would do now; fills in what only the state can tell (the pid of
  // a spawn, the number of a call). EINVAL unknown kind or malformed data, ENOENT, ESRCH, EBUSY.
  Status accept(std::string_view kind, json::Value& data) const;
  // Changes the state; gives the process that the record is about, or 0. Never fails: what does
  // not fit the state is ignored, as it would be by every other reader of the same journal.
  ProcessId apply(const Record& record);

  ProcessRef find(ProcessId pid) const;  // null when unknown or reaped
  // ENOENT never there; ESRCH reaped or dead.
  Result<ProcessRef> find_live(ProcessId pid) const;
  ProcessId init_of(uid_t uid) const;
  const std::map<ProcessId, ProcessRef>& processes() const { return processes_; }
  const WorkspaceChanges* find_workspace(const std::string& name) const;
  std::vector<std::string> with_pending_checkpoints() const;  // workspaces
  const History& history() const { return history_; }
  const Quotas& quotas() const { return quotas_; }  // those that are set
  const Generations& generations() const { return generations_; }
  const Refusals& refusals() const { return refusals_; }
  const EndedTrees& ended_trees() const { return ended_trees_; }
  ProcessId next_pid() const { return next_pid_; }
  Sequence applied() const { return applied_; }

  // --- the store
  using Key = std::pair<std::string_view, std::string>;  // collection (a constant) and key
  const std::set<Key>& dirty() const { return dirty_; }
  std::vector<StoredObject> take_dirty();
  void put_back(std::span<const StoredObject> objects);  // they could not be stored
  // Takes one stored object in; finish_load() after the last.
  Status load(std::string_view collection, std::string_view key, std::string_view text);
  void finish_load(ProcessId next_pid, Sequence applied, std::uint64_t last_version = 0);
  // Generations change with every record of a tree and are stored seldom: what is missing since
  // generations_reached() is replayed. Those that changed; stored where they were written.
  bool generations_are_due(bool at_end) const;
  void take_generations(std::vector<StoredObject>& objects);
  void generations_were_stored(Sequence reached) { generations_reached_ = reached; }
  Sequence generations_reached() const { return generations_reached_; }
  void replay_generations(const Record& record);  // one that has been applied already
  json::Value to_json() const;                    // all of it, canonically

  // --- for the rows
  Process& edit(ProcessId pid);  // its next instant; valid until apply() returns
  void insert(Process process);
  void erase(ProcessId pid);
  WorkspaceChanges& edit_workspace(const std::string& name) { return workspaces_[name]; }
  void erase_workspace(const std::string& name);
  void mark_message(ProcessId pid, std::uint64_t number);
  void mark_call(ProcessId pid, std::uint64_t number);
  void note_change(const std::string& workspace, const std::string& path, const PathEdit& edit);
  void mark_turn(const std::string& workspace, ProcessId pid);
  void mark_checkpoints(const std::string& workspace);
  void add_version(const FileVersionRef& version);
  void erase_version(std::uint64_t number);
  void move_versions(const std::string& from, const std::string& to, bool exchange,
                     const History::Goes& goes);
  void set_quota(const std::string& subject, const Quota& quota);
  void name_appears(const std::string& path);  // what is in the trash under it leaves it
  Generations& edit_generations() { return generations_; }
  void add_refusal(const RefusalRef& refusal);
  void erase_refusal(std::uint64_t number);
  void end_tree(const std::string& path, Sequence record);
  // Adds to the process's usage, and to the subtree of it and of its ancestors.
  void charge(ProcessId pid, const Usage& usage);

 private:
  StoredObject stored(const Key& key) const;
  void mark_change(const std::string& workspace, const std::string& path);

  std::map<ProcessId, ProcessRef> processes_;
  std::map<ProcessId, std::shared_ptr<Process>> edited_;  // within one apply()
  std::map<uid_t, ProcessId> inits_;
  std::map<std::string, WorkspaceChanges> workspaces_;
  History history_;
  Quotas quotas_;
  Generations generations_;
  Sequence generations_reached_;
  Refusals refusals_;
  EndedTrees ended_trees_;
  ProcessId next_pid_{1};
  Sequence applied_;
  std::set<Key> dirty_;
  std::map<ProcessId, std::vector<MessageRef>> loaded_messages_;  // until finish_load()
  std::map<ProcessId, std::vector<CallRef>> loaded_calls_;
};

inline bool run_is_under_way(const Process& p) { return p.run.number != 0 && p.run.ended == 0; }

}  // namespace agentfs
