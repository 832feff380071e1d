// SPDX-License-Identifier: MIT
// Merges that a crash cut short, and what may wait for them.
#include <unistd.h>

#include "base/directory.h"
#include "base/file.h"
#include "base/log.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/merge_order.h"
#include "kernel/merges.h"
#include "kernel/paths.h"

namespace agentfs {

Status Merges::settle() {
  const std::string directory = kernel_.parts().state + "/merges";
  for (const HostEntry& entry : TRY(list_if_there(directory))) {
    const std::string file = fmt::format("{}/{}", directory, entry.name);
    if (file::is_unfinished(file)) {
      ::unlink(file.c_str());
      continue;
    }
    if (const Status settled = settle_one(file); !settled) {
      log::error("merge: left half done: {}", settled.error().message);
    }
  }
  for (const auto& [top, forest] : kernel_.parts().forests) TRY(discard_staged(top, *forest));
  load_conflicts();
  return ok();
}

Result<std::string> Merges::root_of_order(std::string_view text) {
  return TRY(Order::parse(text)).root;
}

// What was made ready for a merge whose order was never stored. Beside one that could not be
// carried out lies what it has replaced.
Status Merges::discard_staged(const std::string& top, Forest& forest) {
  for (const TreeInfo& info : forest.family()) {
    if (info.name.empty()) continue;
    if (file::exists(file_of(fmt::format("{}/{}", top, info.name)))) continue;
    const auto root = forest.lookup(*forest.root(), info.name);
    if (!root || !forest.lookup(*root->node, kMergeDirectory)) continue;
    if (Status done = kernel_.parts().merger->discard({&forest, root->node}); !done) {
      log::error("merge: {}: {}", info.name, done.error().message);
    }
  }
  return ok();
}

bool Merges::is_half_done(const std::string& root) const { return file::exists(file_of(root)); }

Status Merges::end_half_done(const std::string& root) {
  if (!is_half_done(root)) return ok();
  if (!kernel_.conflicts().begin(root)) {
    return fail(EBUSY, "{}: another merge into it is under way; again, when it has ended", root);
  }
  Status ended = end_before(root);
  kernel_.conflicts().end(root);
  return ended;
}

Status Merges::end_before(const std::string& root) {
  if (!is_half_done(root)) return ok();
  const Status ended = settle_one(file_of(root));
  kernel_.paths().recount(root, false);
  if (ended) return ok();
  return fail(EBUSY,
              "{}: the last merge into it is half done, and cannot be ended now ({}); when that is "
              "mended, the same again would do",
              root, ended.error().message);
}

// Its tree was discarded since; another one may have the name.
bool Merges::was_discarded(const Order& order, Forest& forest) const {
  const auto tree = forest.tree(paths::name_of(order.root));
  if (!tree) return tree.error().code == ENOENT;
  const auto info = kernel_.forks().info_of(order.root);
  return order.into != 0 && (!info || info->number != order.into);
}

Status Merges::settle_one(const std::string& file) {
  Order order = TRY(Order::parse(TRY(file::read(file))));
  Forest& forest = *TRY(kernel_.forks().forest_of(order.root));
  if (was_discarded(order, forest)) return file::remove(file);
  const TreeSide ours = TRY(live_side(forest, order.root));
  // One that could not be put back when it failed has writers, who have their files again.
  if (!order.done) TRY(put_back(ours, order));
  if (!order.done) TRY(show_again(order.root, order.shown));
  TRY(finish(order.by.caller(kernel_), ours, order));
  // An earlier version stored some under longer names.
  return file == file_of(order.root) ? ok() : file::remove(file);
}

}  // namespace agentfs
