// SPDX-License-Identifier: MIT
// What a merge left: the table of conflicts, their sides, and how they end.
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

constexpr off_t kLargestText = off_t{64} << 20;

Result<std::string> read_file(TreeStore& store, const TreeNode& node) {
  if (node.type() == S_IFLNK) return store.read_link(node);
  const auto file = TRY(store.open(node, O_RDONLY, TreeCaller{}));
  struct stat attributes{};
  if (::fstat(file->descriptor(), &attributes) != 0) return fail_errno("a side of a merge");
  if (attributes.st_size > kLargestText) {
    return fail(EFBIG, "a side of a merge: {} bytes; at most {} are read", attributes.st_size,
                kLargestText);
  }
  std::string text = TRY(file::read(file->descriptor()));
  TRY(file->check_read());
  return text;
}

}  // namespace

bool ConflictTable::begin(const std::string& root) {
  Lock lock(mutex_);
  return merging_.insert(root).second;
}

void ConflictTable::wait_and_begin(const std::string& root) {
  Lock lock(mutex_);
  while (!merging_.insert(root).second) ended_.wait(lock);
}

void ConflictTable::end(const std::string& root) {
  {
    Lock lock(mutex_);
    merging_.erase(root);
  }
  ended_.notify_all();
}

MergeConflictsRef ConflictTable::find(const std::string& root) const {
  Lock lock(mutex_);
  const auto found = all_.find(root);
  return found == all_.end() ? nullptr : found->second;
}

void ConflictTable::set(const std::string& root, MergeConflictsRef conflicts) {
  Lock lock(mutex_);
  std::swap(all_[root], conflicts);  // the old one is dropped after the lock
}

void ConflictTable::resolve(const std::string& root, std::uint64_t number) {
  MergeConflictsRef old = find(root);
  if (old == nullptr) return;
  auto next = std::make_shared<MergeConflicts>(*old);
  if (auto ended = next->left.extract(number)) next->settled.push_back(std::move(ended.mapped()));
  set(root, std::move(next));
}

MergeConflictsRef Merges::conflicts(const std::string& root) const {
  return kernel_.conflicts().find(root);
}

Result<MergeConflict> Merges::find(const std::string& root, std::uint64_t number) const {
  const MergeConflictsRef all = conflicts(root);
  if (all != nullptr && all->left.contains(number)) return all->left.at(number);
  return fail(ENOENT, "{}: no conflict {}; .agentfs/conflicts lists those there are", root, number);
}

Result<std::string> Merges::text(const std::string& root, std::uint64_t number,
                                 const std::string& side) const {
  const MergeConflict conflict = TRY(find(root, number));
  const MergeConflictsRef all = conflicts(root);
  if (all == nullptr) return fail(ENOENT, "{}: no conflict {}", root, number);
  if (side == "merged") return kernel_.parts().merger->merged(all->sides, conflict);
  const bool is_base = side == "base";
  const bool is_ours = side == "ours";
  const std::string& path = is_base   ? conflict.base_path
                            : is_ours ? conflict.ours_path
                                      : conflict.theirs_path;
  if (path.empty()) return fail(ENOENT, "{}: {} has nothing there", conflict.path, side);
  const TreeSide& from = is_base ? all->sides.base : is_ours ? all->sides.ours : all->sides.theirs;
  return read_file(*from.store, *TRY(find_in_tree(*from.store, from.root, path)).node);
}

Result<std::string> Merges::resolve(const Caller& caller, const std::string& root,
                                    std::uint64_t number, const std::string& side) {
  TRY(kernel_.history().may_see(caller, root));
  if (side != "ours" && side != "theirs" && side != "merged") {
    return fail(EINVAL, "resolve: no side of a conflict ({}); ours, theirs or merged would do",
                text::shown(side));
  }
  const MergeConflict conflict = TRY(find(root, number));
  const std::string path = fmt::format("{}/{}", root, conflict.path);
  const bool removes = side == "theirs" && conflict.theirs_path.empty();
  if (removes) {
    TRY(kernel_.paths().remove(caller, path));
  } else if (side != "ours") {
    if (side == "theirs" && !conflict.theirs.is_regular()) {
      return fail(ENOTSUP, "{}: theirs is no regular file; it can be copied by hand", path);
    }
    const std::string bytes = TRY(text(root, number, side));
    if (side == "merged" && bytes.contains("<<<<<<< ")) {
      return fail(
          EBUSY,
          "{}: both changed the same lines, and markers are not written; a text of yours in "
          "its place and `resolve {} ours` would do",
          path, number);
    }
    Caller named = caller;
    named.path = root + "/.agentfs/ctl";
    TRY(kernel_.paths().write(named, path, bytes));
  }
  return end_conflict(root, number, removes ? "removed, as theirs" : side, path);
}

// The last one of a merge that took what was clean: the next merge begins here.
Result<std::string> Merges::end_conflict(const std::string& root, std::uint64_t number,
                                         const std::string& how, const std::string& path) {
  kernel_.conflicts().resolve(root, number);
  const MergeConflictsRef now = conflicts(root);
  if (now != nullptr && now->left.empty() && now->state.tree != 0) {
    TRY(MergeBases(kernel_).set(root, now->from, now->state));
  }
  return fmt::format("{}: {}\n", text::shown(path), how);
}

}  // namespace agentfs
