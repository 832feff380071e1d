// SPDX-License-Identifier: MIT
#include "backends/compare/steps.h"

#include <cstdio>
#include <map>
#include <ranges>
#include <unordered_set>

#include "backends/compare/attributes.h"
#include "backends/compare/staging.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Step = MergeStep::Kind;

std::unexpected<Error> moved(const std::string& path) {
  return fail(ESTALE, "{}: changed since the merge was planned; merge again", text::shown(path));
}

bool is_file(const FileState& now, const FileState& known) {
  return now.exists() && now.inode == known.inode && now.device == known.device &&
         now.type() == known.type();
}

// Nor set its mode, owner or attributes: all of these move its time of change, as renaming it does,
// and what was done to another of its names. `had_others`: names that it has lost by this merge.
bool is_as_planned(const TreeEntry& now, const FileState& known, bool had_others) {
  const FileState state = state_of(now);
  const bool has_own_time = !known.is_directory() && now.attributes.st_nlink == 1 && !had_others;
  return has_own_time ? state == known : is_untouched(state, known) && state.mode == known.mode;
}

class Steps {
 public:
  Steps(const TreeSide& ours, TreeNodeRef staging, const MergeRecord& record,
        const TreeMerger::Exchange& exchange)
      : ours_(ours), staging_(std::move(staging)), exchange_(exchange) {
    for (const MergeStep& step : record.steps) {
      if (step.kind == Step::put) puts_.insert(step.name);
    }
  }

  Status check(const MergeStep& step);
  Status make(const MergeStep& step);
  Status undo(const MergeStep& step);

 private:
  Status take(const MergeStep& step);
  Status take_now(const MergeStep& step);
  Status put(const MergeStep& step);
  Status swap(const MergeStep& step);
  Status swap_now(const MergeStep& step);
  Status set_mode(const MergeStep& step, bool forward);
  Status set_mode_now(const MergeStep& step, bool forward);
  Status dress(const MergeStep& step, bool forward);
  Status set_permissions(const TreeEntry& entry, mode_t mode);
  Status undo_take(const MergeStep& step);
  Status undo_put(const MergeStep& step);
  Status undo_swap(const MergeStep& step);
  // The file that is about to lose places or, 0, loses none, or gets one again.
  Status exchange(const TreeNode& file, nlink_t lost, const std::function<Status()>& step) {
    return exchange_ ? exchange_(file, lost, step) : step();
  }
  // A step at a path, which looks itself at what is there, while nobody else changes that.
  Status alone(const std::string& path, nlink_t lost, const std::function<Status()>& step);
  // `path` to the name in the staging directory, or the other way round.
  Status move(const MergeStep& step, bool in, unsigned flags);
  Result<FileState> staged(const std::string& name);
  Result<bool> is_empty(const TreeNode& directory) {
    return TRY(names_of(ours_.store(), directory)).empty();
  }

  bool has_lost(const FileState& file) { return lost_[file.inode] != 0; }
  // Not put elsewhere later.
  bool removes(const MergeStep& take) const { return !puts_.contains(take.name); }

  PathFinder ours_;
  TreeNodeRef staging_;
  const TreeMerger::Exchange& exchange_;
  std::unordered_set<std::string_view> puts_;  // names in the staging directory
  // By inode: names that were taken or swapped away, and those of them that are not put elsewhere.
  std::map<std::uint64_t, nlink_t> lost_;
  std::map<std::uint64_t, nlink_t> gone_;
};

Status Steps::check(const MergeStep& step) {
  const FileState now = TRY(ours_.state(step.path));
  const bool is_same = step.before.is_directory()
                           ? is_file(now, step.before) && now.mode == step.before.mode
                           : now == step.before;
  return is_same ? ok() : Status(moved(step.path));
}

// Others may have moved a directory since the step before.
Status Steps::make(const MergeStep& step) {
  ours_.forget();
  switch (step.kind) {
    case Step::take:
      return take(step);
    case Step::put:
      return put(step);
    case Step::swap:
      return swap(step);
    case Step::mode:
      return set_mode(step, true);
  }
  return ok();
}

Status Steps::undo(const MergeStep& step) {
  ours_.forget();
  switch (step.kind) {
    case Step::take:
      return undo_take(step);
    case Step::put:
      return undo_put(step);
    case Step::swap:
      return undo_swap(step);
    case Step::mode:
      return set_mode(step, false);
  }
  return ok();
}

Status Steps::move(const MergeStep& step, bool in, unsigned flags) {
  const auto found = TRY(ours_.find(text::parent_part(step.path)));
  if (!found) return moved(step.path);
  const TreeNode& directory = *found->node;
  const std::string name(text::last_part(step.path));
  return in ? ours_.store().rename(*staging_, step.name, directory, name, flags, TreeCaller{})
            : ours_.store().rename(directory, name, *staging_, step.name, flags, TreeCaller{});
}

Result<FileState> Steps::staged(const std::string& name) {
  const auto found = ours_.store().lookup(*staging_, name);
  if (found) return state_of(*found);
  if (is_gone(found.error())) return FileState{};
  return std::unexpected(found.error());
}

Status Steps::alone(const std::string& path, nlink_t lost, const std::function<Status()>& step) {
  const auto found = TRY(ours_.find(path));
  return found ? exchange(*found->node, lost, step) : step();
}

// Nobody sets a mode or an attribute of a file between the look at it and its going.
Status Steps::take(const MergeStep& step) {
  if (step.before.is_directory()) return take_now(step);
  nlink_t& gone = gone_[step.before.inode];
  const bool goes = removes(step);
  const Status taken = alone(step.path, goes ? gone + 1 : 0, [&] { return take_now(step); });
  if (taken && goes) ++gone;
  return taken;
}

// What was taken may be another file than the one that was looked at just before; then it goes
// back.
Status Steps::take_now(const MergeStep& step) {
  const auto now = TRY(ours_.find(step.path));
  if (!now || !is_as_planned(*now, step.before, has_lost(step.before))) return moved(step.path);
  TRY(move(step, false, RENAME_NOREPLACE));
  bool is_right = is_untouched(TRY(staged(step.name)), step.before);
  if (is_right && step.before.is_directory() && !step.whole) {
    is_right = TRY(is_empty(*TRY(ours_.store().lookup(*staging_, step.name)).node));
  }
  if (is_right && !step.before.is_directory()) ++lost_[step.before.inode];
  if (is_right) return ok();
  TRY(move(step, true, RENAME_NOREPLACE));
  return moved(step.path);
}

Status Steps::put(const MergeStep& step) {
  const auto made = move(step, true, RENAME_NOREPLACE);
  if (!made && made.error().code == EEXIST) return moved(step.path);
  return made;
}

Status Steps::swap(const MergeStep& step) {
  nlink_t& gone = gone_[step.before.inode];
  const Status made = alone(step.path, gone + 1, [&] { return swap_now(step); });
  if (made) ++gone;
  if (made) ++lost_[step.before.inode];
  return made;
}

Status Steps::swap_now(const MergeStep& step) {
  const auto now = TRY(ours_.find(step.path));
  if (!now || !is_as_planned(*now, step.before, has_lost(step.before))) return moved(step.path);
  TRY(move(step, false, RENAME_EXCHANGE));
  if (is_untouched(TRY(staged(step.name)), step.before)) return ok();
  TRY(move(step, false, RENAME_EXCHANGE));
  return moved(step.path);
}

Status Steps::set_permissions(const TreeEntry& entry, mode_t mode) {
  SetAttributes wanted{.which = SetAttributes::mode};
  wanted.values.st_mode = mode & kPermissions;
  TRY(ours_.store().set_attributes(*entry.node, nullptr, wanted, TreeCaller{}));
  return ok();
}

// Each attribute by itself: what others have changed since stays when the rest is undone. An ACL
// has a say in the mode, which comes last.
Status Steps::dress(const MergeStep& step, bool forward) {
  const auto found = TRY(ours_.find(step.path));
  if (!found || !is_file(state_of(*found), step.before)) {
    return forward ? Status(moved(step.path)) : ok();
  }
  const Leaf directory{&ours_.store(), *found};
  const FileAttributes now = attributes_of(directory);
  const mode_t mode = state_of(*found).mode;
  const auto merged = forward ? merge_attributes(*step.had, now, *step.gets)
                              : merge_attributes(*step.gets, now, *step.had);
  if (forward && (!merged.clash.empty() || mode != step.before.mode)) return moved(step.path);
  const bool was_made = forward || mode == step.after.mode || now == *step.gets;
  const mode_t wanted = forward ? step.after.mode : was_made ? step.before.mode : mode;
  TRY(set_attributes(directory, merged.merged, wanted));
  return set_permissions(*found, wanted);
}

Status Steps::set_mode(const MergeStep& step, bool forward) {
  return alone(step.path, 0, [&] { return set_mode_now(step, forward); });
}

Status Steps::set_mode_now(const MergeStep& step, bool forward) {
  if (step.gets) return dress(step, forward);
  const FileState& from = forward ? step.before : step.after;
  const FileState& to = forward ? step.after : step.before;
  const auto found = TRY(ours_.find(step.path));
  const FileState now = found ? state_of(*found) : FileState{};
  // By way of another name of the file it may have them already.
  if (forward && is_file(now, from) && now.mode == to.mode) return ok();
  if (!is_file(now, from) || now.mode != from.mode) {
    // What was never done, or was changed by others since, there is nothing to undo of.
    return forward ? Status(moved(step.path)) : ok();
  }
  return set_permissions(*found, to.mode);
}

Status Steps::undo_take(const MergeStep& step) {
  if (!is_file(TRY(staged(step.name)), step.before)) return ok();
  const auto old = TRY(ours_.store().lookup(*staging_, step.name));
  const auto put_back = [&] { return move(step, true, RENAME_NOREPLACE); };
  const Status back = step.before.is_directory() ? put_back() : exchange(*old.node, 0, put_back);
  if (back) return back;
  return fail(EBUSY, "{}: cannot be put back ({})", text::shown(step.path), back.error().message);
}

Status Steps::undo_put(const MergeStep& step) {
  const auto found = TRY(ours_.find(step.path));
  if (!found || !is_file(state_of(*found), step.after)) return ok();
  const bool is_ours = is_untouched(state_of(*found), step.after) &&
                       (step.whole || !step.after.is_directory() || TRY(is_empty(*found->node)));
  if (!is_ours) {
    return fail(EBUSY, "{}: was changed since; it stays", text::shown(step.path));
  }
  return move(step, false, RENAME_NOREPLACE);
}

Status Steps::undo_swap(const MergeStep& step) {
  const FileState now = TRY(ours_.state(step.path));
  if (is_file(now, step.before) || !is_file(TRY(staged(step.name)), step.before)) return ok();
  if (!is_untouched(now, step.after)) {
    return fail(EBUSY, "{}: was changed since; it stays", text::shown(step.path));
  }
  const auto old = TRY(ours_.store().lookup(*staging_, step.name));
  return exchange(*old.node, 0, [&] { return move(step, false, RENAME_EXCHANGE); });
}

// What only comes to its path by a step before is looked at then.
Status check_all(Steps& steps, const MergeRecord& record) {
  std::unordered_set<std::string_view> put;
  for (const MergeStep& step : record.steps) {
    if (step.kind == Step::put) put.insert(step.path);
    const bool is_later =
        step.kind == Step::put || (step.kind == Step::mode && put.contains(step.path));
    if (!is_later) TRY(steps.check(step));
  }
  return ok();
}

// Goes on after a failure, so that as much as can be is put back; the first one is told.
Status undo_from(Steps& steps, const MergeRecord& record, std::size_t made) {
  Status result = ok();
  for (const MergeStep& step : record.steps | std::views::take(made) | std::views::reverse) {
    auto undone = steps.undo(step);
    if (!undone && result) result = std::move(undone);
  }
  return result;
}

Status remove_entry(TreeStore& store, const TreeNode& directory, const std::string& name) {
  const auto found = store.lookup(directory, name);
  if (!found) return is_gone(found.error()) ? ok() : Status(std::unexpected(found.error()));
  return found->node->type() == S_IFDIR ? store.remove_directory(directory, name, TreeCaller{})
                                        : store.unlink(directory, name, TreeCaller{});
}

bool is_taken_directory(const MergeStep& step) {
  return step.kind == Step::take && step.before.is_directory() && !step.whole;
}

// A directory that has something in it again, made by who had found it before it went, and all
// above it that went with it. They are taken from below up, so those above are there still.
Status bring_back(const TreeSide& ours, const TreeNode& staging, const MergeRecord& record,
                  const std::string& path, const TreeMerger::Returned& returned) {
  for (const MergeStep& step : record.steps | std::views::reverse) {
    if (!is_taken_directory(step) || !text::is_in(path, step.path)) continue;
    if (!ours.store->lookup(staging, step.name)) continue;  // is back
    const auto parent = TRY(PathFinder(ours).find(text::parent_part(step.path)));
    if (!parent) return fail(ENOTEMPTY, "{}: has no place any more", text::shown(step.path));
    TRY(ours.store->rename(staging, step.name, *parent->node,
                           std::string(text::last_part(step.path)), RENAME_NOREPLACE,
                           TreeCaller{}));
    if (returned) TRY(returned(step.path, step.name));
  }
  return ok();
}

Status remove_staging(const TreeSide& ours) {
  auto removed = ours.store->remove_directory(*ours.root, kMergeDirectory, TreeCaller{});
  if (removed || removed.error().code == ENOENT) return ok();
  if (removed.error().code != ENOTEMPTY) return removed;
  return fail(ENOTEMPTY, "{}: holds files that no merge put there; move them elsewhere",
              kMergeDirectory);
}

}  // namespace

bool is_untouched(const FileState& now, const FileState& known) {
  if (!is_file(now, known)) return false;
  return known.is_directory() || (now.size == known.size && now.modified == known.modified);
}

Status apply_steps(const TreeSide& ours, const MergeRecord& record,
                   const TreeMerger::Exchange& exchange) {
  const TreeNodeRef staging = TRY(find_staging(ours));
  if (!staging) return fail(ESTALE, "{}: is gone; merge again", kMergeDirectory);
  Steps steps(ours, staging, record, exchange);
  TRY(check_all(steps, record));
  for (std::size_t at = 0; at < record.steps.size(); ++at) {
    auto made = steps.make(record.steps[at]);
    if (made) continue;
    const auto undone = undo_from(steps, record, at + 1);
    if (undone) return made;
    return fail(made.error().code, "{}; and then: {}", made.error().message,
                undone.error().message);
  }
  return record.durable ? sync_disk(*ours.store, *staging) : ok();
}

Status undo_steps(const TreeSide& ours, const MergeRecord& record,
                  const TreeMerger::Exchange& exchange) {
  const TreeNodeRef staging = TRY(find_staging(ours));
  if (!staging) return ok();
  Steps steps(ours, staging, record, exchange);
  TRY(undo_from(steps, record, record.steps.size()));
  return record.durable ? sync_disk(*ours.store, *staging) : ok();
}

Status clear_staging(const TreeSide& ours, const MergeRecord& record, const TreeMerger::Kept& kept,
                     const TreeMerger::Returned& returned) {
  const TreeNodeRef staging = TRY(find_staging(ours));
  if (!staging) return ok();
  for (const MergeStep& step : record.steps) {
    if (step.kind == Step::mode) continue;
    const auto found = ours.store->lookup(*staging, step.name);
    const bool is_old = found && is_file(state_of(*found), step.before);
    const bool may_return = is_old && is_taken_directory(step);
    bool comes_back = may_return && !TRY(names_of(*ours.store, *found->node)).empty();
    Status gone = ok();
    if (!comes_back) {
      if (is_old && kept) TRY(kept(step.path, *found));
      gone = remove_entry(*ours.store, *staging, step.name);
      comes_back = may_return && !gone && gone.error().code == ENOTEMPTY;
    }
    if (comes_back) gone = bring_back(ours, *staging, record, step.path, returned);
    // What cannot go back, since something else has its place, stays aside.
    if (!gone && gone.error().code != ENOTEMPTY && gone.error().code != EEXIST) return gone;
  }
  return remove_staging(ours);
}

Status discard_staging(const TreeSide& ours) {
  const TreeNodeRef staging = TRY(find_staging(ours));
  if (!staging) return ok();
  for (const std::string& name : TRY(names_of(*ours.store, *staging))) {
    if (!name.starts_with('n')) continue;  // never what was ours
    auto removed = remove_entry(*ours.store, *staging, name);
    if (!removed && removed.error().code != ENOTEMPTY) return removed;
  }
  return remove_staging(ours);
}

}  // namespace agentfs::compare
