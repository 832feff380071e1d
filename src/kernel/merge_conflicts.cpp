// SPDX-License-Identifier: MIT
// What a merge left: the sides of conflicts, and how they end.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/directory.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/conflict_records.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/merge_base_records.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/settled_conflicts.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

std::string directory_of(const Kernel& kernel) {
  return fmt::format("{}/merge-conflicts", kernel.parts().state);
}

std::string key_of(std::string_view top, std::uint32_t tree) {
  return fmt::format("{}.{}", top.substr(1), tree);
}

// Of a tree that was never forked there are no conflicts.
std::optional<std::string> key_of(const Kernel& kernel, const std::string& root) {
  const auto info = kernel.forks().info_of(root);
  return info ? std::optional(key_of(text::parent_part(root), info->number)) : std::nullopt;
}

std::optional<std::uint32_t> number_in(std::string_view key) {
  const auto dot = key.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  return text::number<std::uint32_t>(key.substr(dot + 1));
}

// What a merge that took what was clean has left and is ended, the base of the next one says.
bool says_anything(const MergeConflicts& conflicts) {
  return !conflicts.left.empty() || (!conflicts.is_partial && !conflicts.settled.empty());
}

// Where the tree is now.
Result<TreeInfo> find_tree(const Kernel& kernel, const std::string& top, std::uint32_t tree) {
  const auto forest = kernel.parts().forests.find(top);
  if (forest == kernel.parts().forests.end()) return fail(ENOENT, "{}: no forest", top);
  if (auto info = forest->second->info(tree)) return std::move(*info);
  return fail(ENOENT, "{}: a tree that was merged is gone", top);
}

}  // namespace

void Merges::show_conflicts(const std::string& root, const MergeConflictsRef& conflicts) {
  if (const auto key = key_of(kernel_, root)) kernel_.conflicts().set(*key, conflicts);
}

// A path keeps its number for as long as it is in conflict with that tree.
void Merges::take_over(const MergeConflictsRef& before, const MergePlan& plan,
                       MergeConflicts& left) {
  std::map<std::string_view, std::uint64_t> known;
  if (before != nullptr && before->from == left.from && !before->left.empty()) {
    left.last = before->last;
    for (const auto& [number, one] : before->left) known.try_emplace(one.path, number);
  }
  for (const MergeConflict& conflict : plan.conflicts) {
    const auto same = known.extract(conflict.path);
    left.left.emplace(same ? same.mapped() : ++left.last, conflict);
  }
}

MergeConflictsRef Merges::as_left(const std::string& root, const MergeConflicts& told,
                                  SnapshotId state) const {
  if (told.left.empty()) return nullptr;
  auto left = std::make_shared<MergeConflicts>(told);
  left->is_partial = true;
  left->state = state;
  // What was merged, whatever is done there until the last one is ended.
  const auto forest = kernel_.forks().forest_of(root);
  if (auto theirs = forest ? (*forest)->snapshot_root(state) : fail(ENOENT, "{}", root)) {
    left->sides.theirs.root = std::move(*theirs);
    left->theirs = state;
  }
  if (const auto ours = kernel_.forks().info_of(root)) left->after = newest_state(*ours);
  return left;
}

Status Merges::set_theirs(const std::string& root, SnapshotId state) {
  const MergeConflictsRef shown = conflicts(root);
  if (shown == nullptr || shown->from != state.tree || shown->theirs != SnapshotId{}) return ok();
  auto next = std::make_shared<MergeConflicts>(*shown);
  next->sides.theirs.root = TRY((*TRY(kernel_.forks().forest_of(root))).snapshot_root(state));
  next->theirs = state;
  return set_conflicts(root, next);
}

Status Merges::set_conflicts(const std::string& root, const MergeConflictsRef& conflicts) {
  const auto key = key_of(kernel_, root);
  return key ? set_conflicts_of(*key, conflicts) : ok();
}

Status Merges::set_conflicts_of(const std::string& key, const MergeConflictsRef& conflicts) {
  const std::string file = fmt::format("{}/{}", directory_of(kernel_), key);
  if (conflicts != nullptr && says_anything(*conflicts)) {
    TRY(file::make_directories(directory_of(kernel_), 0700));
    TRY(file::replace(file, stored(*conflicts)));
  } else {
    TRY(file::remove(file));
  }
  kernel_.conflicts().set(key, conflicts);
  return ok();
}

// As the trees are now. A checkpoint that both had come from may have been discarded.
Result<MergeSides> Merges::sides_of(const std::string& top, std::uint32_t into,
                                    const MergeConflicts& conflicts) const {
  const std::string root = fmt::format("{}/{}", top, TRY(find_tree(kernel_, top, into)).name);
  const std::string name = TRY(find_tree(kernel_, top, conflicts.from)).name;
  const std::string other = fmt::format("{}/{}", top, name);
  auto sides = sides_at(root, other, conflicts.base);
  if (!sides) sides = sides_at(root, other, TRY(parted_at(root, name)));
  if (sides && conflicts.theirs != SnapshotId{}) {
    sides->theirs.root = TRY(kernel_.parts().forests.at(top)->snapshot_root(conflicts.theirs));
  }
  return sides;
}

// What has been ended since may be as it was before that, and the other way round. A full disk
// keeps it from being known after the next start alone.
void Merges::reopen(const std::string& top, std::uint32_t into, const MergeConflicts& conflicts,
                    const IsEnded& is_ended) {
  auto next = std::make_shared<MergeConflicts>(conflicts);
  next->settled.clear();
  for (const MergeConflict& one : conflicts.settled) {
    if (is_ended(into, conflicts, one.path)) {
      next->settled.push_back(one);
    } else {
      next->left.emplace(++next->last, one);
    }
  }
  for (const auto& [number, one] : conflicts.left) {
    if (!is_ended(into, conflicts, one.path)) continue;
    next->settled.push_back(one);
    next->left.erase(number);
  }
  auto sides = sides_of(top, into, conflicts);
  if (sides) next->sides = std::move(*sides);
  const std::string key = key_of(top, into);
  Status stored = sides ? set_conflicts_of(key, next) : std::unexpected(sides.error());
  if (stored) return;
  kernel_.conflicts().set(key, next);
  log::warning("{}: conflicts of a merge: {}", key, stored.error().message);
}

Status Merges::leave_again(const std::string& top, std::uint32_t into, std::string_view text,
                           const IsEnded& is_ended) {
  const MergeConflictsRef now = kernel_.conflicts().find(key_of(top, into));
  if (now != nullptr && now->is_partial && !now->left.empty()) return ok();
  reopen(top, into, TRY(conflicts_in(text)), is_ended);
  return ok();
}

// An import stays in conflict with its directory: what a rebase took over is the base of the next
// commit, whatever the workspace is now.
Result<std::vector<std::string>> Merges::forget_conflicts(const std::string& root,
                                                          std::uint32_t tree, const Holds& holds,
                                                          const IsEnded& is_ended) {
  const std::string top = paths::top_of(root);
  const std::string own = key_of(top, tree);
  drop_settled_of(kernel_, top, tree);
  std::vector<std::string> ended;
  for (const auto& [key, conflicts] : kernel_.conflicts().all()) {
    if (conflicts == nullptr || !key.starts_with(top.substr(1) + ".")) continue;
    if (key != own && conflicts->from != tree) continue;
    const auto from = find_tree(kernel_, top, conflicts->from);
    const auto into = number_in(key);
    const bool is_hosts = from && from->name.starts_with(kHiddenTree);
    if (holds && from && into && !is_hosts && holds(*into, *conflicts)) {
      reopen(top, *into, *conflicts, is_ended);
      continue;
    }
    MergeConflictsRef next;
    if (conflicts->is_partial && is_hosts) {
      const auto kept = std::make_shared<MergeConflicts>(*conflicts);
      kept->state = {};
      next = kept;
    }
    if (Status stored = set_conflicts_of(key, next); !stored) {
      kernel_.conflicts().set(key, next);  // what the file says still ends at the next start
      return std::unexpected(std::move(stored).error());
    }
    if (next != nullptr || !conflicts->is_partial) continue;
    for (const auto& [number, one] : conflicts->left) ended.push_back(one.path);
  }
  return ended;
}

Result<MergeConflictsRef> Merges::told_in(std::string_view text, const std::string& top,
                                          std::uint32_t into) const {
  const auto all = std::make_shared<MergeConflicts>(TRY(conflicts_in(text)));
  all->sides = TRY(sides_of(top, into, *all));
  return all;
}

// Those that the text tells, or none where what was merged is gone.
Status Merges::show_again(const std::string& root, std::string_view text) {
  const auto info = kernel_.forks().info_of(root);
  if (text.empty() || !info) return set_conflicts(root, nullptr);
  auto told = told_in(text, paths::top_of(root), info->number);
  if (!told && told.error().code == ENOENT) return set_conflicts(root, nullptr);
  return set_conflicts(root, TRY(std::move(told)));
}

Status Merges::load_conflicts(const std::string& file) {
  const std::string key(text::last_part(file));
  const auto number = number_in(key);
  if (!number) return fail(EBADMSG, "{}: names no tree", file);
  const std::string top = fmt::format("/{}", std::string_view(key).substr(0, key.rfind('.')));
  kernel_.conflicts().set(key, TRY(told_in(TRY(file::read(file)), top, *number)));
  return ok();
}

Result<std::size_t> Merges::count_conflicts(std::string_view text) {
  return TRY(conflicts_in(text)).left.size();
}

// Those of a tree that is gone are nobody's; what cannot be read stays, and is told.
void Merges::load_conflicts() {
  const std::string directory = directory_of(kernel_);
  const auto entries = list_if_there(directory);
  if (!entries) {
    log::error("{}: the conflicts of merges: {}", directory, entries.error().message);
    return;
  }
  for (const HostEntry& entry : *entries) {
    const std::string file = fmt::format("{}/{}", directory, entry.name);
    if (is_settled_file(entry.name)) {
      if (is_of_gone(kernel_, entry.name)) ::unlink(file.c_str());
      continue;
    }
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

MergeConflictsRef Merges::conflicts(const std::string& root) const {
  const auto key = key_of(kernel_, root);
  return key ? kernel_.conflicts().find(*key) : nullptr;
}

Status Merges::check_resolved(const std::string& root, const std::string& from) const {
  const MergeConflictsRef all = conflicts(root);
  const auto tree = kernel_.forks().info_of(from);
  return all && tree && tree->number == all->from ? check_resolved(root, *all) : ok();
}

Status Merges::check_resolved(const std::string& root, const MergeConflicts& all) const {
  if (!all.is_partial || all.left.empty()) return ok();
  return fail(EBUSY,
              "{}: a merge left {} in conflict: {}/.agentfs/conflicts has them, and `resolve {} "
              "ours` (or theirs, or merged) ends one",
              root, all.left.size(), root, all.left.begin()->first);
}

Result<Merges::Found> Merges::find(const std::string& root, std::uint64_t number) const {
  const MergeConflictsRef all = conflicts(root);
  if (all != nullptr && all->left.contains(number)) return Found{all, all->left.at(number)};
  return fail(ENOENT, "{}: no conflict {}; .agentfs/conflicts lists those there are", root, number);
}

Result<Merges::Side> Merges::side_of(const MergeConflicts& all, const MergeConflict& conflict,
                                     const std::string& side) {
  const bool is_base = side == "base";
  const bool is_ours = side == "ours";
  const std::string& path = is_base   ? conflict.base_path
                            : is_ours ? conflict.ours_path
                                      : conflict.theirs_path;
  if (path.empty()) return fail(ENOENT, "{}: {} has nothing there", conflict.path, side);
  const TreeSide& from = is_base ? all.sides.base : is_ours ? all.sides.ours : all.sides.theirs;
  return Side{*from.store, TRY(find_in_tree(*from.store, from.root, path))};
}

std::unexpected<Error> Merges::refuse_lost(const std::string& path, std::uint64_t number,
                                           const std::string& side, const Error& why) {
  return fail(EBUSY,
              "{}: what {} was is not there any more ({}); `resolve {} {}` ends this conflict, "
              "and the next merge of the two takes what there is then",
              path, side, why.message, number, side == "ours" ? "theirs" : "ours");
}

Result<std::string> Merges::text(const std::string& root, std::uint64_t number,
                                 const std::string& side) const {
  const auto [all, conflict] = TRY(find(root, number));
  if (side == "merged") return kernel_.parts().merger->merged(all->sides, conflict);
  const Side from = TRY(side_of(*all, conflict, side));
  auto text = read_file(from.store, *from.entry.node);
  if (text || text.error().code != EBUSY) return text;
  return refuse_lost(conflict.path, number, side, text.error());
}

Result<std::optional<Merges::SideFile>> Merges::file_of(const std::string& root,
                                                        std::uint64_t number,
                                                        const std::string& side) const {
  if (side == "merged") return std::nullopt;
  const auto [all, conflict] = TRY(find(root, number));
  const Side from = TRY(side_of(*all, conflict, side));
  if (!S_ISREG(from.entry.attributes.st_mode)) return std::nullopt;
  const auto file = TRY(from.store.open(*from.entry.node, O_RDONLY, TreeCaller{}));
  struct stat its{};
  if (file->is_lent()) return std::nullopt;
  if (::fstat(file->descriptor(), &its) != 0) return fail_errno(text::shown(conflict.path));
  const auto open = [from, its, path = conflict.path]() -> Result<UniqueFd> {
    const auto again = TRY(from.store.open(*from.entry.node, O_RDONLY, TreeCaller{}));
    struct stat now{};
    UniqueFd own(::fcntl(again->descriptor(), F_DUPFD_CLOEXEC, 0));
    if (!own || ::fstat(own.get(), &now) != 0) return fail_errno(text::shown(path));
    if (now.st_ino == its.st_ino && now.st_size == its.st_size) return own;
    return fail(ESTALE, "{}: has changed since it was looked at", text::shown(path));
  };
  return SideFile{its, open};
}

Status Merges::may_read(const Caller& caller, const std::string& root, std::uint64_t number,
                        const std::string& side) const {
  const auto [all, conflict] = TRY(find(root, number));
  const std::vector<std::string> sides =
      side == "merged" ? std::vector<std::string>{"base", "ours", "theirs"} : std::vector{side};
  for (const std::string& one : sides) {
    const auto from = side_of(*all, conflict, one);
    if (!from || kernel_.history().may_read(caller, from->entry.attributes)) continue;
    return fail(EACCES, "{}: {} is uid {}'s, and not this caller's to read",
                text::shown(conflict.path), one, from->entry.attributes.st_uid);
  }
  return ok();
}

bool Merges::has_text(const std::string& root, std::uint64_t number,
                      const std::string& side) const {
  const MergeConflictsRef all = conflicts(root);
  if (all == nullptr || !all->left.contains(number)) return false;
  const MergeConflict& conflict = all->left.at(number);
  // Either side may have become what is not merged, such as a binary, since.
  if (side == "merged") return conflict.has_merged && text(root, number, side).has_value();
  const auto from = side_of(*all, conflict, side);
  if (!from || S_ISDIR(from->entry.attributes.st_mode)) return false;
  if (!S_ISREG(from->entry.attributes.st_mode)) return true;
  const auto file = from->store.open(*from->entry.node, O_RDONLY, TreeCaller{});
  return file && (*file)->check_read();
}

// The last one of a merge that took what was clean: the next merge begins here, if there is one.
Status Merges::end_conflicts(const std::string& root, const std::vector<std::uint64_t>& numbers) {
  const MergeConflictsRef before = conflicts(root);
  if (before == nullptr) return fail(ENOENT, "{}: no conflict {}", root, numbers.front());
  const auto now = std::make_shared<MergeConflicts>(*before);
  const auto ours = kernel_.forks().info_of(root);
  for (const std::uint64_t number : numbers) {
    auto ended = now->left.extract(number);
    if (!ended) continue;
    now->ended_after[ended.mapped().path].push_back(ours ? newest_state(*ours) : 0);
    now->settled.push_back(std::move(ended.mapped()));
  }
  if (now->left.empty() && now->state.tree != 0) {
    const std::string top = paths::top_of(root);
    if (const auto from = find_tree(kernel_, top, now->from)) {
      // A rollback to before this has them asked again, also when a start has come between.
      if (ours && now->is_partial)
        TRY(MergeBases(kernel_).keep_conflicts(root, ours->number, *now));
      TRY(MergeBases(kernel_).set(root, fmt::format("{}/{}", top, from->name), now->state));
    } else if (from.error().code != ENOENT) {
      return std::unexpected(from.error());
    }
  }
  return set_conflicts(root, now);
}

}  // namespace agentfs
