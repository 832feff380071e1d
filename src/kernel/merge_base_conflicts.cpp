// SPDX-License-Identifier: MIT
// What rollbacks do to conflicts that merges have left.
#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/merge_base_records.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"

namespace agentfs {

// Those of what was taken back say what the next merge begins from: they go with it.
Result<std::vector<std::string>> MergeBases::forget_conflicts(const std::string& root,
                                                              std::uint32_t tree) {
  const std::string place = directory(root);
  const auto holds = [&](std::uint32_t into, const MergeConflicts& left) {
    const auto ours = Lineage::read(Lineage::file(place, into));
    const auto theirs = Lineage::read(Lineage::file(place, left.from));
    const bool is_partial = left.after && left.state.tree == left.from && ours && theirs;
    if (!is_partial || !ours->has_after(*left.after)) return false;
    if (!theirs->has_state(left.state.sequence)) return false;
    return !left.left.empty() || !has_later(root, into, left.state);
  };
  return kernel_.merges().forget_conflicts(root, tree, holds);
}

// Whether the next merge begins from that state of theirs anyhow, or from a later one of the two.
bool MergeBases::has_later(const std::string& root, std::uint32_t into, SnapshotId state) const {
  const std::string top(text::first_parts(root, 1));
  const Forest& forest = *kernel_.parts().forests.at(top);
  const auto ours = forest.info(into);
  const auto theirs = forest.info(state.tree);
  if (!ours || !theirs) return false;
  const auto path_of = [&](const TreeInfo& tree) { return fmt::format("{}/{}", top, tree.name); };
  const auto last = find(path_of(*ours), path_of(*theirs));
  if (!last || !*last) return false;
  const auto time_of = [](const TreeInfo& tree, SnapshotId id) {
    const auto found = std::ranges::find(tree.snapshots, id, &SnapshotInfo::id);
    return found == tree.snapshots.end() ? std::int64_t{0} : found->time;
  };
  return time_of((*last)->tree == state.tree ? *theirs : *ours, **last) >= time_of(*theirs, state);
}

Status MergeBases::settle_conflicts() {
  TRY(for_each_order([&](const Order& order) -> Status {
    if (order.before) TRY(forget_conflicts(order.root, order.before->tree));
    return file::remove(order.file);
  }));
  for (const auto& [top, forest] : kernel_.parts().forests) TRY(settle_all(top, *forest));
  return ok();
}

}  // namespace agentfs
