// SPDX-License-Identifier: MIT
// What two trees of a family have in common since the last merge of one into the other.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/forest.h"

namespace agentfs {

class Kernel;
class PreparedFile;
struct BaseRecord;
struct MergeConflicts;
namespace json {
class Value;
}

// A state as orders and conflicts are stored with it; {}: what is none.
json::Value value_of(SnapshotId state);
SnapshotId snapshot_of(const json::Value& value);

// A part of its kernel. A merge begins with a hidden state of the tree that is merged; when it has
// been made whole, that state is what the next merge of the two, either way, begins from, if what
// both are has come from it. Recorded below STATE/merge-bases/<forest>, the trees by their numbers,
// which each forest counts itself (kernel/merge_base_records.h).
// Threads: all, one merge of two trees at a time.
class MergeBases {
 public:
  explicit MergeBases(Kernel& kernel) : kernel_(kernel) {}

  // The label of such a state; no name of a checkpoint has a slash.
  static bool is_label(const std::string& label) { return label.contains('/'); }

  // The state of `from` as it is now, for a merge into `root`.
  Result<SnapshotId> begin(const std::string& root, const std::string& from);
  // The merge was not made. False: the disk refuses that now.
  bool drop(const std::string& from, SnapshotId state);
  // Conflicts of a merge that took what was clean are about to end, or have.
  Status keep_conflicts(const std::string& root, std::uint32_t into, const MergeConflicts& left);
  // After a merge, while no other into the root is under way: states that nothing leads to go.
  Status settle(const std::string& root, const std::string& from);
  Status set(const std::string& root, const std::string& from, SnapshotId state);
  // The same in two steps, so that a full disk does not keep a merge that is made from being
  // recorded. `newest`: the newest state of the root before the merge; nothing: as of now.
  struct Merge {
    SnapshotId state{};
    std::optional<std::uint64_t> newest{};
  };
  Result<PreparedFile> prepare(const std::string& root, const std::string& from,
                               const Merge& merge) const;
  Status set(const std::string& root, const std::string& from, const Merge& merge,
             PreparedFile prepared);
  // Of the last merge, whichever way; null: there was none since they parted. EBADMSG, with a
  // sentence, where what was recorded of it is damaged or gone.
  Result<std::optional<SnapshotId>> find(const std::string& root, const std::string& from) const;
  // What a tree and a fork of it both come from: the state that the fork was made of, or, where
  // that is what a rollback of the tree took away, the last one before it that the tree has come
  // from, too. To forks of other states the rollback is a change of the tree.
  SnapshotId common_state(const std::string& root, SnapshotId forked_at) const;
  // Of a tree that goes back to a state of its own: `change` is made, and which merges that state
  // has not seen is known from then on, or neither, a crash between or not; so are its conflicts
  // ended: the answer is their paths. What it was before is a checkpoint of the tree then, by the
  // name `undo`.
  struct Rollback {
    std::string undo{};
    SnapshotId to{};
  };
  Result<std::vector<std::string>> forget_with(const std::string& root, const Rollback& rollback,
                                               const std::function<Status()>& change);
  // Of trees, and states of them, that are there no more.
  Status forget_gone();
  // At a start: ends what a crash cut short; the conflicts when they have been read.
  Status settle();
  Status settle_conflicts();

 private:
  struct Order {
    std::string file{};
    std::string root{};
    Rollback rollback{};
    std::optional<SnapshotId> before{};  // nothing: the rollback was not made
  };
  Result<std::vector<std::string>> forget_conflicts(const std::string& root, std::uint32_t tree);
  void bring_back_conflicts(const std::string& root, std::uint32_t tree);
  bool has_later(const std::string& root, std::uint32_t into, SnapshotId state) const;
  Status settle_all(const std::string& top, Forest& forest);
  Status forget_records_of_gone();
  Status for_each_order(const std::function<Status(const Order&)>& act);
  std::string directory(std::string_view root) const;
  Result<BaseRecord> record_of(const std::string& root, const std::string& from,
                               const Merge& merge) const;
  std::string unsettled_file(const std::string& root, const TreeInfo& into,
                             const TreeInfo& from) const;
  bool drop_states(const std::string& from, const TreeInfo& tree, std::uint32_t into,
                   const std::set<std::uint64_t>& needed);
  Kernel& kernel_;
};

}  // namespace agentfs
