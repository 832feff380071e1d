// SPDX-License-Identifier: MIT
#include "kernel/merges.h"

#include <algorithm>

#include "base/blocks.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/conflict_records.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merge_base_records.h"
#include "kernel/merge_bases.h"
#include "kernel/merge_order.h"
#include "kernel/merge_rows.h"
#include "kernel/paths.h"
#include "kernel/quota_keeper.h"
#include "kernel/settled_conflicts.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// Of what is new, and theirs has no owner for.
Result<TreeCaller> owner_of(const TreeSide& tree) {
  const struct stat top = TRY(tree.store->attributes(*tree.root));
  TreeCaller owner;
  owner.uid = top.st_uid;
  owner.gid = top.st_gid;
  return owner;
}

constexpr std::size_t kLongestOrder = 240;

// Of merges into or from a tree that others write to all the time.
constexpr int kAttempts = 3;

// Of the disk what the change of names takes, of limits all that it makes.
Result<Hold> hold_room(Kernel& kernel, const std::string& root, const MergePlan& plan,
                       const MergeSides& sides) {
  const auto changes = plan.actions.size();
  TRY(check_disk_room(kernel.parts().state, changes * kRoomOfName, changes * kFilesOfName));
  if (kernel.quotas().empty()) return Hold();
  return kernel.paths().hold_room(root, growth_of(plan, sides));
}

std::unexpected<Error> left_half_done(const std::string& root, const std::string& from,
                                      bool is_made, const Error& why) {
  const std::string theirs = is_rebase(from) ? "the imported directory" : text::shown(from);
  return fail(
      why.code,
      "{}: {} ({}); the next merge, checkpoint, fork or rollback of it {} first, and so "
      "does a start",
      root,
      is_made ? fmt::format("has what {} has, but the merge could not be ended", theirs)
              : fmt::format("the merge of {} failed half way, and could not be taken back", theirs),
      why.message, is_made ? "ends it" : "takes it back");
}

}  // namespace

std::string Merges::file_of(const std::string& root) const {
  // A name has 255 bytes, and what is made ready to replace a file some more than that.
  const std::string name = text::hex(root);
  return fmt::format("{}/merges/{}", kernel_.parts().state,
                     name.size() <= kLongestOrder ? name : blake2b(root));
}

Result<SnapshotId> Merges::parted_at(const std::string& root, const std::string& name) const {
  const Forks forks = kernel_.forks();
  const std::string other = Forks::sibling(root, name);
  const auto own = forks.info_of(root);
  const auto its = forks.info_of(other);
  auto base = forks.base_of(other);
  const bool is_fork = own && base && base->tree == own->number;
  if (!is_fork) base = forks.base_of(root);
  const bool is_parent = !is_fork && its && base && base->tree == its->number;
  if (!is_fork && !is_parent) {
    return fail(EINVAL,
                "{}: is neither a fork of {} nor what that was forked from{}; .agentfs/forks "
                "of {} tells the family",
                text::shown(name), root, text::did_you_mean(name, forks.kin_of(root)), root);
  }
  return MergeBases(kernel_).common_state(is_fork ? root : other, *base);
}

Result<MergeSides> Merges::sides_at(const std::string& root, const std::string& other,
                                    SnapshotId base) const {
  Forest& forest = *TRY(kernel_.forks().forest_of(root));
  return MergeSides{.base = {&forest, TRY(forest.snapshot_root(base))},
                    .ours = TRY(live_side(forest, root)),
                    .theirs = TRY(live_side(forest, other))};
}

Result<std::string> Merges::merge(const Caller& caller, const std::string& root,
                                  const std::string& name, bool partial) {
  TRY(kernel_.history().may_see(caller, root));
  TRY(kernel_.may_change(caller, root));
  const std::string other = Forks::sibling(root, name);
  (void)TRY(parted_at(root, name));  // what is no kin is EINVAL, whoever may see it
  TRY(kernel_.history().may_see(caller, other));
  const Hold held = TRY(kernel_.paths().begin_snapshot(root));
  const Hold held_other = TRY(kernel_.paths().begin_snapshot(other));
  // What theirs takes from ours meanwhile, or took and left in conflict, has no base yet, and would
  // pass for theirs. The lesser name first: a merge may be asked for on both sides at once.
  std::optional<MergePause> of_theirs;
  if (other < root) of_theirs.emplace(kernel_.conflicts(), other);
  if (!kernel_.conflicts().begin(root)) {
    return fail(EBUSY, "{}: another merge into it is under way; again, when it has ended", root);
  }
  if (root < other) of_theirs.emplace(kernel_.conflicts(), other);
  const Result<std::string> answer = merge_in_turn(caller, root, name, partial);
  kernel_.conflicts().end(root);
  return answer;
}

Result<std::string> Merges::merge_in_turn(const Caller& caller, const std::string& root,
                                          const std::string& name, bool partial) {
  const std::string other = Forks::sibling(root, name);
  TRY(end_before(root));
  TRY(end_before(other));
  TRY(check_resolved(other, root));
  const SnapshotId parted = TRY(parted_at(root, name));
  const SnapshotId base = TRY(MergeBases(kernel_).find(root, other)).value_or(parted);
  const MergeSides sides = TRY(sides_at(root, other, base));
  for (int attempt = 1;; ++attempt) {
    Order order{.root = root, .from = other, .base = base, .record = {}};
    order.by = StoredCaller::of(caller);
    auto answer = merge_once(caller, sides, order, partial);
    const bool is_stale = !answer && answer.error().code == ESTALE && !is_half_done(root);
    if (!is_stale || attempt == kAttempts) return answer;
  }
}

Result<std::string> Merges::merge_once(const Caller& caller, const MergeSides& sides, Order& order,
                                       bool partial) {
  const SnapshotId state = TRY(MergeBases(kernel_).begin(order.root, order.from));
  order.state = state;
  Result<std::string> answer = merge_alone(caller, sides, order, partial);
  const MergeConflictsRef left = conflicts(order.root);
  if (order.done) drop_settled(kernel_, order.root, state.tree);
  const bool is_later_base = left != nullptr && left->state == state;
  const bool is_kept = order.done && (order.state == state || is_later_base);
  if (!is_kept && !is_half_done(order.root)) MergeBases(kernel_).drop(order.from, state);
  if (const Status settled = MergeBases(kernel_).settle(order.root, order.from); !settled) {
    log::warning("merge: {}", settled.error().message);
  }
  return answer;
}

Result<std::string> Merges::merge_alone(const Caller& caller, const MergeSides& sides, Order& order,
                                        bool partial) {
  const std::string& root = order.root;
  const std::string& other = order.from;
  const MergeConflictsRef before = conflicts(root);
  // From the same fork, too: what the last merge took passes for ours, renames of theirs among it.
  if (before != nullptr) TRY(check_resolved(root, *before));
  const TreeMerger& merger = *kernel_.parts().merger;
  TRY(merger.discard(sides.ours));
  Forest& forest = *TRY(kernel_.forks().forest_of(root));
  // Theirs of one moment, which the next merge begins from, and which conflicts that are left have;
  // who reads a refused merge's reads what theirs is by then.
  MergeSides now = sides;
  now.theirs.root = TRY(forest.snapshot_root(order.state));
  MergePlan plan = TRY(merger.plan(now, Forks::options(forest)));
  TRY(check_own(caller, sides.ours, plan));
  const std::string name = text::shown(paths::name_of(other));
  auto left = std::make_shared<MergeConflicts>(
      MergeConflicts{.from = order.state.tree, .base = order.base, .sides = sides});
  leave_out_settled(settled_with(kernel_, root, order.state.tree, before), other, plan, *left);
  take_over(before, plan, *left);
  for (const auto& [number, one] : left->left) left->ended_after.erase(one.path);
  if (!left->left.empty()) show_conflicts(root, left);
  if (!left->left.empty() && !partial) {
    // On a full disk they are told by this daemon alone.
    if (const Status kept = set_conflicts(root, left); !kept)
      log::warning("{}", kept.error().message);
    return fail(EBUSY,
                "merge {}: {}, nothing was changed; {}/.agentfs/conflicts has them, and `merge {} "
                "partial` takes what is clean and leaves them to `resolve`",
                name, text::counted(left->left.size(), "conflict"), root, name);
  }
  if (partial) order.left = as_left(root, *left, order.state);
  if (!plan.conflicts.empty()) order.state = {};
  TRY(file::make_directories(kernel_.parts().state + "/merges", 0700));
  const TreeCaller maker = TRY(owner_of(sides.ours));
  const Hold room = TRY(hold_room(kernel_, root, plan, now));
  order.record = TRY(merger.stage(now, plan, {.partial = partial, .caller = maker}));
  order.actions = merge_rows(root, plan);
  order.head = kernel_.journal().head().sequence;
  TRY(carry_out(caller, sides.ours, order));
  const std::string from = is_rebase(other) ? "what the imported directory has" : other;
  std::string answer = fmt::format("merged {} into {}: {}, {}\n", from, root,
                                   text::counted(plan.actions.size(), "change"),
                                   text::counted(plan.conflicts.size(), "conflict"));
  for (const std::string& note : plan.notes) answer += fmt::format("{}\n", note);
  if (!order.note.empty()) answer += fmt::format("{}\n", order.note);
  return answer;
}

Status Merges::carry_out(const Caller& caller, const TreeSide& ours, Order& order) {
  const TreeMerger& merger = *kernel_.parts().merger;
  const std::string file = file_of(order.root);
  const MergeConflictsRef shown = conflicts(order.root);
  if (shown != nullptr) order.shown = stored(*shown);
  Status is_ready = make_ready(order);
  if (is_ready) is_ready = file::replace(file, order.text());
  if (!is_ready) {
    TRY(merger.discard(ours));
    return is_ready;
  }
  Status applied = set_conflicts(order.root, order.left);
  if (applied) applied = merger.apply(ours, order.record, exchange_in(order.root));
  order.done = applied.has_value();
  if (applied) applied = file::replace(file, order.text());
  if (!applied) {
    order.done = false;
    // Where the disk does not let it be put back, it stays aside, and with it the order.
    Status back = put_back(ours, order);
    if (back) back = set_conflicts(order.root, shown);
    if (!back) return left_half_done(order.root, order.from, false, back.error());
  }
  Status finished = finish(caller, ours, order);
  kernel_.paths().recount(order.root, false);
  if (applied && !finished) {
    return left_half_done(order.root, order.from, true, finished.error());
  }
  if (applied) return ok();
  if (order.note.empty()) return applied;
  return fail(applied.error().code, "{}; all else is as it was, but {}", applied.error().message,
              order.note);
}

// What the end of the merge needs of the disk is there before anything is changed.
Status Merges::make_ready(Order& order) {
  if (const auto into = kernel_.forks().info_of(order.root)) {
    order.into = into->number;
    order.newest = newest_state(*into);
  }
  if (order.state.tree == 0) return ok();
  order.base_file.emplace(
      TRY(MergeBases(kernel_).prepare(order.root, order.from, {order.state, order.newest})));
  return ok();
}

Status Merges::set_base(Order& order) {
  MergeBases bases(kernel_);
  const MergeBases::Merge merge{order.state, order.newest};
  if (!order.base_file) order.base_file.emplace(TRY(bases.prepare(order.root, order.from, merge)));
  Status set = bases.set(order.root, order.from, merge, *std::move(order.base_file));
  order.base_file.reset();
  return set;
}

// Who looked meanwhile has seen names that are gone again, or none where there is one again. What
// somebody has written to since is theirs and stays; what it was before is a version then.
Status Merges::put_back(const TreeSide& ours, Order& order) {
  Status undone = kernel_.parts().merger->undo(ours, order.record, exchange_in(order.root));
  kernel_.paths().refresh(as_undone(events_of(order.actions)));
  if (undone || undone.error().code != EBUSY) return undone;
  order.note = fmt::format("{}, and what it was before is a version", undone.error().message);
  return ok();
}

// Until the host's kernel has forgotten the old files they are read, so only then new ones get
// their times.
void Merges::show(const TreeSide& ours, const Order& order) {
  kernel_.paths().refresh(events_of(order.actions));
  const TreeMerger& merger = *kernel_.parts().merger;
  const auto fresh = merger.freshen(ours, order.record, exchange_in(order.root));
  if (fresh) return kernel_.paths().links_changed(order.root, *fresh);
  log::warning("{}: {}", order.root, fresh.error().message);
}

// The rows come with the end: until then a start after a crash undoes it all, or comes here.
Status Merges::finish(const Caller& caller, const TreeSide& ours, Order& order) {
  // What the mount shows comes before what is told of it, which may fail.
  if (order.done) show(ours, order);
  // Of what has been discarded since there is no next merge.
  const bool is_there = kernel_.forks().info_of(order.from).has_value();
  if (order.done && is_there) TRY(kernel_.imports().merged(order.from));
  if (order.done && is_there && order.state.tree != 0) TRY(set_base(order));
  if (order.done) TRY(tell(caller, order));
  RemovedFiles removed;
  Status cleared = kernel_.parts().merger->finish(
      ours, order.record,
      [&](const std::string& path, const TreeEntry& old) -> Status {
        const std::string whole = fmt::format("{}/{}", order.root, path);
        const auto row = order.done ? std::nullopt : merge_row(order.actions, order.from, whole);
        if (row) TRY(kernel_.record_change(caller, *row));
        return keep(caller, whole, {ours, old}, removed);
      },
      [&](const std::string& path, const std::string& name) {
        order.note = fmt::format("{}: has something new in it, and stays", text::shown(path));
        return come_back(caller, fmt::format("{}/{}", order.root, path), name);
      });
  kernel_.paths().links_changed(order.root, removed.linked);
  // Somebody's files in it are no part of the merge.
  if (!cleared && cleared.error().code == ENOTEMPTY) {
    order.note = cleared.error().message;
  } else {
    TRY(cleared);
  }
  // Who has looked knows it as it was.
  kernel_.paths().refresh({{.kind = TreeEvent::Kind::walked,
                            .path = fmt::format("{}/{}", order.root, kMergeDirectory),
                            .type = S_IFDIR}});
  return file::remove(file_of(order.root));
}

Status Merges::tell(const Caller& caller, const Order& order) {
  std::vector<TreeChange> rows{whole_row(order.root, order.from, order.actions.size())};
  for (const json::Value& action : order.actions) {
    rows.push_back(merge_row(action, order.from));
  }
  const std::size_t told =
      order.is_left ? TRY(merge_rows_told(kernel_.journal(), order.head, order.root, order.from))
                    : 0;
  for (std::size_t i = told; i < rows.size(); ++i) TRY(kernel_.record_change(caller, rows[i]));
  return ok();
}

}  // namespace agentfs
