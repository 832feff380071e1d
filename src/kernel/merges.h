// SPDX-License-Identifier: MIT
// Merging one tree of a family into another, and what could not be merged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/forest.h"
#include "backends/merge.h"
#include "base/hold.h"
#include "base/json.h"
#include "kernel/caller.h"
#include "kernel/conflict_table.h"

namespace agentfs {

class Kernel;

// What a merge or a fold is about to delete. Of one file with several names, which is another one
// on the disk each time that a name goes, all have what the first had in common with the others.
struct RemovedFiles {
  std::map<ino_t, std::uint64_t> identities{};  // file::identity() by the inode that is shown
  std::vector<TreeNodeRef> linked{};            // that had other names, too; directories
};
struct Replaced {
  const TreeSide& ours;
  const TreeEntry& old;
};

// A part of its kernel. Threads: all; one merge into a tree at a time (EBUSY). What the caller may
// not change is EPERM or EACCES before anything is done.
class Merges {
 public:
  explicit Merges(Kernel& kernel) : kernel_(kernel) {}

  // Changes `root` by what was done in `name`, a fork of it or what it is a fork of, since the two
  // parted: all of it or, where there are conflicts, nothing (EBUSY); `partial`: what is clean.
  Result<std::string> merge(const Caller& caller, const std::string& root, const std::string& name,
                            bool partial);
  // Ends conflicts, in their order up to the first that cannot be: `side` is "ours", "theirs" or
  // "merged".
  Result<std::string> resolve(const Caller& caller, const std::string& root,
                              const ConflictChoice& which, const std::string& side);
  // One of base, ours, theirs, merged; ENOENT where that side has nothing.
  Result<std::string> text(const std::string& root, std::uint64_t number,
                           const std::string& side) const;
  // EACCES where the side, or one of those that are merged, is another user's.
  Status may_read(const Caller& caller, const std::string& root, std::uint64_t number,
                  const std::string& side) const;
  // Whether it can be read now: an import may not have its base any more.
  bool has_text(const std::string& root, std::uint64_t number, const std::string& side) const;
  // Where the bytes of a side lie, be they many: nothing where text() alone has them, which is what
  // would be merged, a link, or lent by an import.
  struct SideFile {
    struct stat attributes{};
    std::function<Result<UniqueFd>()> open{};  // ESTALE once it is another one
  };
  Result<std::optional<SideFile>> file_of(const std::string& root, std::uint64_t number,
                                          const std::string& side) const;
  MergeConflictsRef conflicts(const std::string& root) const;
  // Of conflicts with the tree that this is a state of: theirs is read there from now on, unless it
  // is read from an earlier one already.
  Status set_theirs(const std::string& root, SnapshotId state);
  // EBUSY while paths of a merge of `from` that took what was clean are in conflict.
  Status check_resolved(const std::string& root, const std::string& from) const;
  // The tree, one beside the root, is another state now, or gone: what it was in conflict with, and
  // what was in conflict with it, but for merges that `holds` of what both are now. The paths that
  // were still to be resolved and cannot be any more.
  using Holds = std::function<bool(std::uint32_t into, const MergeConflicts& left)>;
  // Of a path in conflict, whether it was ended in what the tree has come from.
  using IsEnded =
      std::function<bool(std::uint32_t into, const MergeConflicts& left, const std::string& path)>;
  Result<std::vector<std::string>> forget_conflicts(const std::string& root, std::uint32_t tree,
                                                    const Holds& holds, const IsEnded& is_ended);
  // From what is stored of them, where none of that tree are.
  Status leave_again(const std::string& top, std::uint32_t into, std::string_view text,
                     const IsEnded& is_ended);
  Status check_resolved(const std::string& root, const MergeConflicts& all) const;
  // Of a merge or a fold into the root: who has a file open writes to it no more when another has
  // its place.
  TreeMerger::Exchange exchange_in(const std::string& root) const;
  // A version of what a merge or a fold has replaced or removed at `path`, which is of `ours`.
  Status keep(const Caller& caller, const std::string& path, const Replaced& what,
              RemovedFiles& removed);
  // Told of a directory that a merge or a fold has removed in vain (TreeMerger::Returned).
  Status come_back(const Caller& caller, const std::string& path, const std::string& name);
  // At a start: what a crash cut short is undone, or ended where it was done already. What cannot
  // be is told in the log and left as it is.
  Status settle();
  // While it lives no merge of the root is under way. EBUSY while one is, or half done, or what
  // others have to do with the whole tree: who holds up the host's kernel cannot wait for them.
  Result<Hold> hold(const std::string& root) const;
  // Whether a merge into the root is under way, or was cut short and is to be ended; ending it as
  // settle() does. end_before() is for who has the root's turn, before he does something with all
  // of it: EBUSY where it cannot be ended now.
  bool is_half_done(const std::string& root) const;
  Status end_half_done(const std::string& root);
  Status end_before(const std::string& root);
  // Is this a stored order, and of a merge into which root? EBADMSG for what is none.
  static Result<std::string> root_of_order(std::string_view text);
  // How many conflicts are stored in this? EBADMSG for what is not whole.
  static Result<std::size_t> count_conflicts(std::string_view text);

 private:
  struct Order;  // a merge under way, as it is stored
  Result<std::string> merge_in_turn(const Caller& caller, const std::string& root,
                                    const std::string& name, bool partial);
  // ESTALE where a path of ours that it changes was changed meanwhile.
  Result<std::string> merge_once(const Caller& caller, const MergeSides& sides, Order& order,
                                 bool partial);
  Result<std::string> merge_alone(const Caller& caller, const MergeSides& sides, Order& order,
                                  bool partial);
  static void leave_out_settled(const MergeConflictsRef& before, const std::string& other,
                                MergePlan& plan, MergeConflicts& left);
  static void take_over(const MergeConflictsRef& before, const MergePlan& plan,
                        MergeConflicts& left);
  Result<std::string> take_side(const Caller& caller, const std::string& root, std::uint64_t number,
                                const std::string& side);
  Status end_conflicts(const std::string& root, const std::vector<std::uint64_t>& numbers);
  Result<SnapshotId> parted_at(const std::string& root, const std::string& name) const;
  Result<MergeSides> sides_at(const std::string& root, const std::string& other,
                              SnapshotId base) const;
  void show_conflicts(const std::string& root, const MergeConflictsRef& conflicts);
  // Shown, and stored for as long as they say anything to the next merge.
  Status set_conflicts(const std::string& root, const MergeConflictsRef& conflicts);
  Status set_conflicts_of(const std::string& tree, const MergeConflictsRef& conflicts);
  // Stored ones, with their sides as the trees are now. ENOENT: of a tree that is gone.
  Result<MergeConflictsRef> told_in(std::string_view text, const std::string& top,
                                    std::uint32_t into) const;
  Status show_again(const std::string& root, std::string_view text);
  Status load_conflicts(const std::string& file);
  void load_conflicts();
  struct Found {
    MergeConflictsRef all;
    MergeConflict conflict;
  };
  Result<Found> find(const std::string& root, std::uint64_t number) const;
  Result<std::string> merged(const std::string& root, std::uint64_t number) const;
  static std::unexpected<Error> refuse_lost(const std::string& path, std::uint64_t number,
                                            const std::string& side, const Error& why);
  Status take_theirs(const Caller& caller, const Found& found, std::uint64_t number,
                     const std::string& path);
  Status take_merged(const Caller& caller, const Found& found, std::uint64_t number,
                     const std::string& root);
  Status take_removal(const Caller& caller, const Found& found, std::uint64_t number,
                      const std::string& root);
  static Status check_ours_is_whole(const Found& found, std::uint64_t number);  // EBUSY
  struct Side {
    TreeStore& store;
    TreeEntry entry;
  };
  // ENOENT where it has nothing.
  static Result<Side> side_of(const MergeConflicts& all, const MergeConflict& conflict,
                              const std::string& side);
  // What a merge of that state of theirs that took what was clean leaves, once it is made.
  MergeConflictsRef as_left(const std::string& root, const MergeConflicts& told,
                            SnapshotId state) const;
  Result<MergeSides> sides_of(const std::string& top, std::uint32_t into,
                              const MergeConflicts& conflicts) const;
  void reopen(const std::string& top, std::uint32_t into, const MergeConflicts& conflicts,
              const IsEnded& is_ended);
  Status put_back(const TreeSide& ours, Order& order);
  Status carry_out(const Caller& caller, const TreeSide& ours, Order& order);
  Status make_ready(Order& order);
  Status set_base(Order& order);
  bool was_discarded(const Order& order, Forest& forest) const;
  Status tell(const Caller& caller, const Order& order);
  void show(const TreeSide& ours, const Order& order);
  Status finish(const Caller& caller, const TreeSide& ours, Order& order);
  Status check_own(const Caller& caller, const TreeSide& ours, const MergePlan& plan) const;
  Result<json::Value> keep_bytes(const std::string& path, const Replaced& what) const;
  Status settle_one(const std::string& file);
  Status discard_staged(const std::string& top, Forest& forest);
  std::string file_of(const std::string& root) const;

  Kernel& kernel_;
};

}  // namespace agentfs
