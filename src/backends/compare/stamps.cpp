// SPDX-License-Identifier: MIT
#include "backends/compare/stamps.h"

#include <algorithm>
#include <limits>

#include "backends/compare/steps.h"
#include "base/file_clock.h"
#include "base/nanoseconds.h"

namespace agentfs::compare {

bool is_fresh(const MergeAction& action) {
  const bool is_replaced = !action.ours_path.empty() && action.ours_path == action.path;
  return action.kind == MergeAction::Kind::write && (is_replaced || action.merged);
}

std::int64_t time_of_kept(const MergeAction& action) {
  const bool is_theirs =
      action.kind == MergeAction::Kind::write ||
      (action.kind == MergeAction::Kind::make_directory && action.theirs.exists());
  return (is_theirs ? action.theirs : action.ours).modified;
}

Status set_modified(TreeStore& store, const TreeNode& file, std::int64_t modified) {
  SetAttributes wanted{.which = SetAttributes::mtime};
  wanted.values.st_mtim = time_of(modified);
  TRY(store.set_attributes(file, nullptr, wanted, TreeCaller{}));
  return ok();
}

Status stamp(TreeStore& store, const TreeNode& staging, std::vector<Fresh> all) {
  std::ranges::sort(all, {}, &Fresh::theirs);
  std::int64_t time = nanoseconds_of(file_clock());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0 && all[i].theirs != all[i - 1].theirs) ++time;
    MergeStep& step = *all[i].step;
    const TreeEntry made = TRY(store.lookup(staging, step.name));
    TRY(set_modified(store, *made.node, time));
    step.after = state_of({made.node, TRY(store.attributes(*made.node))});
  }
  return ok();
}

namespace {

// What a directory was when it was staged, it is no more since something was put in it.
Status date_directories(const TreeSide& ours, const MergeRecord& record,
                        std::vector<TreeNodeRef>& dated) {
  PathFinder finder(ours);
  for (const MergeStep& step : record.steps) {
    const bool is_made = step.kind == MergeStep::Kind::put && step.after.is_directory();
    if (!is_made || step.whole) continue;
    const auto found = TRY(finder.find(step.path));
    if (!found) continue;
    const FileState now = state_of(*found);
    if (!is_untouched(now, step.after) || now.modified == step.after.modified) continue;
    TRY(set_modified(*ours.store, *found->node, step.after.modified));
    dated.push_back(found->node);
  }
  return ok();
}

}  // namespace

// Who has written to one since has given it a time.
Result<std::vector<TreeNodeRef>> freshen_steps(const TreeSide& ours, const MergeRecord& record,
                                               const TreeMerger::Exchange& exchange) {
  std::vector<TreeNodeRef> fresh;
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  for (const MergeStep& step : record.steps) {
    if (step.fresh) first = std::min(first, step.after.modified);
  }
  const std::int64_t now = nanoseconds_of(file_clock());
  PathFinder finder(ours);
  for (const MergeStep& step : record.steps) {
    if (!step.fresh || now <= first) continue;
    const auto freshen = [&]() -> Status {
      finder.forget();
      const auto found = TRY(finder.find(step.path));
      if (!found || !is_untouched(state_of(*found), step.after)) return ok();
      TRY(set_modified(*ours.store, *found->node, now + (step.after.modified - first)));
      fresh.push_back(found->node);
      return ok();
    };
    const auto found = TRY(finder.find(step.path));
    if (found) TRY(exchange ? exchange(*found->node, 0, freshen) : freshen());
  }
  TRY(date_directories(ours, record, fresh));
  return fresh;
}

}  // namespace agentfs::compare
