// SPDX-License-Identifier: MIT
// What a merge left: the table of conflicts, their sides, and how they end.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ranges>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
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

std::string directory_of(const Kernel& kernel) {
  return fmt::format("{}/merge-conflicts", kernel.parts().state);
}

std::string place_of(const Kernel& kernel, const std::string& root) {
  return fmt::format("{}/{}", directory_of(kernel), text::hex(root));
}

constexpr std::string_view kSettled = "-";  // in place of a number

// A line for the merge, then one for each conflict: its number, a blank and what it is.
std::string stored(const std::string& root, const MergeConflicts& conflicts) {
  json::Value head;
  head.set("root", root).set("from", conflicts.from);
  head.set("base", value_of(conflicts.base)).set("state", value_of(conflicts.state));
  std::string out = json::dump(head) + "\n";
  for (const auto& [number, one] : conflicts.left) {
    out += fmt::format("{} {}\n", number, to_text(one));
  }
  for (const MergeConflict& one : conflicts.settled) {
    out += fmt::format("{} {}\n", kSettled, to_text(one));
  }
  return out;
}

}  // namespace

Status Merges::set_conflicts(const std::string& root, const MergeConflictsRef& conflicts) {
  const std::string file = place_of(kernel_, root);
  if (conflicts != nullptr && conflicts->is_stored && !conflicts->left.empty()) {
    TRY(file::make_directories(directory_of(kernel_), 0700));
    TRY(file::replace(file, stored(root, *conflicts)));
  } else if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(file);
  }
  kernel_.conflicts().set(root, conflicts);
  return ok();
}

Status Merges::load_conflicts(const std::string& file) {
  const std::string text = TRY(file::read(file));
  const auto lines = text::split(std::string_view(text), '\n');
  const json::Value head = TRY(json::parse(lines.front()));
  const std::string root(head["root"].text());
  auto all =
      std::make_shared<MergeConflicts>(MergeConflicts{.from = std::string(head["from"].text()),
                                                      .base = snapshot_of(head["base"]),
                                                      .is_stored = true});
  all->state = snapshot_of(head["state"]);
  all->sides = TRY(sides_at(root, all->from, all->base));
  for (const std::string_view line : lines | std::views::drop(1)) {
    if (line.empty()) continue;
    const auto blank = line.find(' ');
    const std::string_view number = line.substr(0, blank);
    MergeConflict one = TRY(conflict_of(line.substr(std::min(blank, line.size() - 1) + 1)));
    if (number == kSettled) {
      all->settled.push_back(std::move(one));
    } else if (const auto at = text::number<std::uint64_t>(number)) {
      all->left.emplace(*at, std::move(one));
    }
  }
  kernel_.conflicts().set(root, std::move(all));
  return ok();
}

// Those of a tree that is gone are nobody's; what cannot be read stays, and is told.
void Merges::load_conflicts() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_of(kernel_), error)) {
    const std::string& file = entry.path().native();
    const Status loaded =
        file::is_unfinished(file) ? fail(ENOENT, "{}", file) : load_conflicts(file);
    if (loaded) continue;
    if (loaded.error().code == ENOENT) {
      ::unlink(file.c_str());
    } else {
      log::error("{}: the conflicts of a merge: {}", file, loaded.error().message);
    }
  }
}

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

MergeConflictsRef Merges::conflicts(const std::string& root) const {
  return kernel_.conflicts().find(root);
}

Status Merges::check_resolved(const std::string& root, const std::string& from) const {
  const MergeConflictsRef all = conflicts(root);
  if (all == nullptr || !all->is_stored || all->from != from || all->left.empty()) return ok();
  return fail(EBUSY, "{}: {} conflicts are not resolved; .agentfs/conflicts has them", root,
              all->left.size());
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
  const MergeConflictsRef before = conflicts(root);
  if (before == nullptr) return fail(ENOENT, "{}: no conflict {}", root, number);
  const auto now = std::make_shared<MergeConflicts>(*before);
  if (auto ended = now->left.extract(number)) now->settled.push_back(std::move(ended.mapped()));
  if (now->left.empty() && now->state.tree != 0) {
    TRY(MergeBases(kernel_).set(root, now->from, now->state));
  }
  TRY(set_conflicts(root, now));
  return fmt::format("{}: {}\n", text::shown(path), how);
}

}  // namespace agentfs
