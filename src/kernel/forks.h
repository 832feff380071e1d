// SPDX-License-Identifier: MIT
// Forks and checkpoints of workspaces and homes: what `.agentfs/ctl` does with whole trees.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compare.h"
#include "backends/forest.h"
#include "base/json.h"
#include "kernel/caller.h"

namespace agentfs {

// Of a checkpoint that a rollback made of what it replaced: "undo-2".
bool is_undo(std::string_view label);
std::string shown(SnapshotId state);  // "12.3", as rows tell it
// What answers say of conflicts that have ended with something; "" where there were none.
std::string note_of_ended(const std::vector<std::string>& conflicts);

class Kernel;
struct TreeChange;

// A part of its kernel, without a state of its own: the forests know their trees. `root` is the
// path of a workspace or home in the mount, "/workspaces/site". Threads: all. Whoever may see the
// history of a root may ask about it; what changes a tree needs the right to change it. What is
// done is told in the journal after it was done. Errors: ENOENT with the names that there are,
// EEXIST, EINVAL for names that cannot be, EBUSY for what somebody works in, ENOTSUP where nothing
// can be forked.
class Forks {
 public:
  explicit Forks(Kernel& kernel) : kernel_(kernel) {}

  // A tree `name` beside the root that is what the root is now, or was at a checkpoint.
  Result<std::string> fork(const Caller& caller, const std::string& root, const std::string& name,
                           const std::optional<std::string>& checkpoint);
  // Removes a fork of the root, or of a fork of it that is gone, with all that was done in it; or a
  // checkpoint.
  Result<std::string> discard(const Caller& caller, const std::string& root,
                              const std::string& name);
  Result<std::string> checkpoint(const Caller& caller, const std::string& root,
                                 const std::string& name);
  // The root becomes what it was; what it is now is a checkpoint, which the answer names.
  Result<std::string> rollback(const Caller& caller, const std::string& root,
                               const std::string& name);

  std::vector<SnapshotInfo> checkpoints(const std::string& root) const;  // oldest first
  Result<SnapshotInfo> find(const std::string& root, const std::string& name) const;
  Result<TreeNodeRef> checkpoint_root(const std::string& root, const std::string& name) const;
  // Of the root, with what belongs to it; nothing is asked and told.
  Status drop_checkpoint(const std::string& root, const SnapshotInfo& checkpoint) const;
  // What a rollback tells: the names in the root before, of those `before` it, and now, each once.
  json::Array tops_of(const std::string& root, const std::vector<std::string>& before) const;
  std::vector<std::string> names_of(const std::string& root, SnapshotId state) const;
  // The family tree of the root, a line each: "  try-1\tfork of site\n".
  std::string family(const std::string& root) const;

  // What differs from the point that the root was forked at; for one that is no fork, from its
  // newest checkpoint.
  Result<std::string> status(const Caller& caller, const std::string& root) const;
  Status diff(const Caller& caller, const std::string& root, const TreeComparer::Sink& sink) const;
  // How its trees are compared; valid as long as the forest.
  static CompareOptions options(Forest& forest);

  // The plain directories on the disk are what the mount shows, on the way to `path` and there;
  // `whole`: all below it, too. For tools that look at the disk; nothing where it is so.
  Status materialise(const std::string& path, bool whole) const;

  // Can a tree have this name? EINVAL, ENAMETOOLONG.
  static Status check_name(const std::string& name);
  // The path of a tree beside the root: "/workspaces/try-1".
  static std::string sibling(const std::string& root, const std::string& name);
  Result<Forest*> forest_of(const std::string& root) const;
  // What the root was forked from; null for one that is no fork.
  std::optional<SnapshotId> base_of(const std::string& root) const;
  // The names of the root's forks, and of what it was forked from.
  std::vector<std::string> kin_of(const std::string& root) const;
  // Of its forks, and of the forks of those that are gone.
  std::vector<std::string> descendants(const std::string& root) const;
  std::optional<TreeInfo> info_of(const std::string& root) const;

 private:
  // Empty sides where there is nothing to compare with.
  struct Comparison {
    TreeSide before{};
    TreeSide after{};
    CompareOptions how{};
  };
  Result<Comparison> comparison(const Caller& caller, const std::string& root) const;
  Status check_new(const std::string& root, const std::string& name) const;
  Status may_change(const Caller& caller, const std::string& root) const;
  Status with_room(const std::function<Status()>& discard) const;
  // EEXIST where a checkpoint of the root has the fork's name.
  Status check_is_one(const std::string& root, const std::string& fork) const;
  Result<std::string> discard_fork(const Caller& caller, const std::string& root,
                                   const std::string& path, const TreeInfo& info);
  // EPERM where what differs in the root from a state of it is another's, who would find it `what`.
  Status check_own(const Caller& caller, const std::string& root, SnapshotId from,
                   std::string_view what) const;
  // EPERM where the root was another user's in that state.
  Status check_owner_then(const Caller& caller, const std::string& root,
                          const SnapshotInfo& target) const;
  Status check_beside(const Caller& caller, const std::string& root, const std::string& name) const;
  std::unexpected<Error> no_such(const std::string& root, const std::string& name) const;

  Kernel& kernel_;
};

// Whether a forest may have something that is due for Kernel::collect_forests().
bool are_forests_loose(const Kernel& kernel);

}  // namespace agentfs
