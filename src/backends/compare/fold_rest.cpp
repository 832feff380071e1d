// SPDX-License-Identifier: MIT
// What a fold looks at and writes down beside its walk: further names of files, and the order.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backends/compare/fold_plan.h"
#include "backends/tree_xattrs.h"
#include "base/blocks.h"
#include "base/copy.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Step = MergeStep::Kind;

Result<std::string> target_of(const std::string& host_path) {
  auto target = link_target(AT_FDCWD, host_path);
  if (!target) return fail_errno(text::shown(host_path));
  return std::move(*target);
}

Result<bool> is_same_content(TreeStore& store, const TreeEntry& now, const std::string& host) {
  if (now.node->type() == S_IFLNK) return TRY(store.read_link(*now.node)) == TRY(target_of(host));
  if (now.node->type() != S_IFREG) return true;
  const UniqueFd upper(::open(host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!upper) return fail_errno(text::shown(host));
  const auto ours = TRY(store.open(*now.node, O_RDONLY, TreeCaller{}));
  return same_bytes(upper.get(), ours->descriptor());
}

// Where a path is once what `moved` tells has been done.
std::string after(const std::string& path, const FoldChange& moved) {
  const auto place = [&](const std::string& from, const std::string& to) {
    return text::is_in(path, from) ? to + path.substr(from.size()) : std::string();
  };
  std::string there = place(moved.path, moved.other);
  if (there.empty() && moved.is_exchange) there = place(moved.other, moved.path);
  return there.empty() ? path : there;
}

bool is_rename(const FoldChange& one) { return !one.other.empty(); }

// Whether `one`, a rename or the removal of a directory, can only be told after `first`: that takes
// away what is in its way or goes with it, or brings the directory that it goes to. What `first`
// takes away with all in it is not the directory that `one` goes to, but had its name.
bool comes_after(const FoldChange& one, const FoldChange& first) {
  if (!is_rename(one)) return text::is_below(first.path, one.path);
  if (text::is_below(one.other, first.path)) return true;
  const bool is_in_the_way =
      text::is_in(first.path, one.other) && !text::is_below(first.path, one.path);
  return is_in_the_way || (is_rename(first) && text::is_below(one.other, first.other));
}

// The rename that goes where this one comes from, and the other way round.
std::vector<FoldChange>::iterator find_return(std::vector<FoldChange>& all, const FoldChange& one) {
  return std::ranges::find_if(all, [&](const FoldChange& other) {
    return other.path == one.other && other.other == one.path;
  });
}

// Renames, and the removals of directories that they came from or go to, such that each finds what
// those before it have left: their paths are given as they are before all of them. Two directories
// that change places are told as that; in another ring one goes, as on the disk, by way of
// kMergeDirectory.
std::vector<FoldChange> in_order(std::vector<FoldChange> left) {
  constexpr std::size_t kMost = 300;  // of more nobody waits for the order
  std::ranges::sort(left, {},
                    [](const FoldChange& one) { return std::pair(!is_rename(one), one.other); });
  if (left.size() > kMost) return left;
  std::vector<FoldChange> ordered;
  const auto tell = [&](FoldChange one) {
    for (FoldChange& other : left) {
      if (is_rename(one)) other.path = after(other.path, one);
    }
    ordered.push_back(std::move(one));
  };
  // Each round takes one out of what is left, or stages one that was not yet.
  while (!left.empty()) {
    auto next = std::ranges::find_if(left, [&](const FoldChange& one) {
      return std::ranges::none_of(
          left, [&](const FoldChange& first) { return &first != &one && comes_after(one, first); });
    });
    const bool is_free = next != left.end();
    if (!is_free) {
      next = std::ranges::find_if(left, [](const FoldChange& one) {
        return is_rename(one) && !text::is_below(one.path, kMergeDirectory);
      });
    }
    if (next == left.end()) next = left.begin();
    FoldChange one = *next;
    if (is_free || !is_rename(one) || text::is_below(one.path, kMergeDirectory)) {
      left.erase(next);
    } else if (const auto back = find_return(left, one); back != left.end()) {
      one.is_exchange = true;
      left.erase(std::max(next, back));
      left.erase(std::min(next, back));
    } else {
      one.other = fmt::format("{}/{}", kMergeDirectory, ordered.size());
    }
    tell(std::move(one));
  }
  return ordered;
}

// Takes out of the removals those that have to do with one of the renames.
std::vector<FoldChange> take_related(std::vector<FoldChange>& removals,
                                     const std::vector<FoldChange>& renames) {
  const auto is_plain = [&](const FoldChange& one) {
    return !one.is_directory || std::ranges::none_of(renames, [&](const FoldChange& moved) {
      return text::is_below(moved.path, one.path) || text::is_in(one.path, moved.other) ||
             text::is_below(moved.other, one.path);
    });
  };
  std::vector<FoldChange> plain;
  std::vector<FoldChange> taken;
  for (FoldChange& one : removals) (is_plain(one) ? plain : taken).push_back(std::move(one));
  removals = std::move(plain);
  return taken;
}

}  // namespace

Result<bool> FoldPlanner::is_same(const std::string& host_path, const struct stat& state,
                                  const TreeEntry& now) {
  const FileState one = state_of_stat(state);
  const FileState other = state_of(now);
  if (one.mode != other.mode || one.size != other.size || one.modified != other.modified ||
      one.special != other.special || state.st_uid != now.attributes.st_uid ||
      state.st_gid != now.attributes.st_gid) {
    return false;
  }
  if (TRY(brought_xattrs(host_path)) != xattrs_of(ours_.store(), *now.node, is_brought)) {
    return false;
  }
  return is_same_content(ours_.store(), now, host_path);
}

// All files of the tree by their inodes, without looking at each.
Status FoldPlanner::read_linked() {
  if (lower_files_) return ok();
  const auto lower = TRY(UpperDirectory::open(left_.lower));
  std::map<ino_t, Linked> files;
  std::vector<std::string> open{""};
  while (!open.empty()) {
    const std::string path = std::move(open.back());
    open.pop_back();
    for (const auto& entry : TRY(lower.listing(path))) {
      std::string below = joined(path, entry.name);
      if (is_reserved(below)) continue;
      if (entry.type == S_IFDIR) {
        open.push_back(std::move(below));
      } else {
        files[entry.inode].names.push_back(std::move(below));
      }
    }
  }
  for (auto& [inode, file] : files) std::ranges::sort(file.names);
  lower_files_ = std::move(files);
  return ok();
}

// Null where the file has no second name in the tree: snapshots have links of their own.
Result<FoldPlanner::Linked*> FoldPlanner::find_linked(const std::string& old) {
  struct stat state{};
  const std::string host = fmt::format("{}/{}", left_.lower, old);
  const bool has_more =
      ::lstat(host.c_str(), &state) == 0 && !S_ISDIR(state.st_mode) && state.st_nlink > 1;
  if (!has_more) return nullptr;
  TRY(read_linked());
  const auto found = lower_files_->find(state.st_ino);
  const bool is_linked = found != lower_files_->end() && found->second.names.size() > 1;
  return is_linked ? &found->second : nullptr;
}

Result<bool> FoldPlanner::is_changed(const std::string& old) {
  Linked* const file = TRY(find_linked(old));
  if (file == nullptr) return changed_(old);
  if (!file->is_changed) file->is_changed = std::ranges::any_of(file->names, changed_);
  return *file->is_changed;
}

void FoldPlanner::keep_ours(const FoldConflict& conflict, const std::string& old) {
  plan_.conflicts.push_back(conflict);
  touched_.insert(old);
}

// A file with several names that the command changed under one, or changed and then removed there:
// the kernel's index has what the others show now, of which the upper directory says nothing.
Status FoldPlanner::link_others() {
  const auto index = TRY(read_index(left_.work, left_.lower));
  if (index.empty()) return ok();
  TRY(read_linked());
  std::vector<std::pair<std::string, ino_t>> names;
  for (const auto& [inode, name] : index) {
    const auto file = lower_files_->find(inode);
    if (file == lower_files_->end()) continue;
    for (const std::string& old : file->second.names) names.emplace_back(old, inode);
  }
  std::ranges::sort(names);
  for (const auto& [old, inode] : names) {
    if (!touched_.contains(old)) TRY(link_other(old, inode, index.at(inode)));
  }
  return ok();
}

Status FoldPlanner::link_other(const std::string& old, ino_t inode, const std::string& index) {
  const auto now = TRY(ours_.find(old));
  if (!now || now->node->type() == S_IFDIR) return ok();
  const std::string host = fmt::format("{}/index/{}", left_.work, index);
  struct stat state{};
  if (::lstat(host.c_str(), &state) != 0) return fail_errno(host);
  const bool is_brought = brought_.contains(state.st_ino);
  if (!is_brought && TRY(is_same(host, state, *now))) return ok();
  if (TRY(is_changed(old))) {
    // Where the upper directory has no name of it, what the command wrote is in the index alone.
    const bool is_alone = state.st_nlink == 1;
    keep_ours({.path = old, .upper = is_alone ? "../work/index/" + index : std::string()}, old);
    return ok();
  }
  const std::string name = next_name(kComing);
  const auto known = linked_.find(inode);
  const bool is_first = known == linked_.end();
  if (is_first) {
    links_.push_back({.kind = FoldPiece::Kind::index, .from = index, .name = name});
    linked_[inode] = name;
  } else {
    links_.push_back({.kind = FoldPiece::Kind::link, .from = known->second, .name = name});
  }
  TRY(keep_time(std::string(text::parent_part(old))));
  tell("write", now_at(old), static_cast<std::uint64_t>(state.st_size));
  plan_.changes.back().is_silent = is_brought || !is_first;
  swap_linked(old, *now, {.kind = Step::swap, .name = name, .after = state_of_stat(state)});
  return ok();
}

void FoldPlanner::swap_linked(const std::string& old, const TreeEntry& now, MergeStep step) {
  step.path = now_at(old);
  step.before = state_of(now);
  if (step.path != old) {
    takes_.push_back(
        {.kind = Step::take, .path = old, .name = next_name(kGoing), .before = step.before});
    step.kind = Step::put;
    step.before = {};
  }
  puts_.push_back(std::move(step));
}

// A directory in which the command has done nothing does not look changed.
Status FoldPlanner::keep_time(const std::string& old) {
  const std::string path = now_at(old);
  const auto now = TRY(ours_.find(old));
  if (!now || std::ranges::find(dresses_, path, &FoldDress::path) != dresses_.end()) return ok();
  dresses_.push_back({.path = path,
                      .modified = state_of(*now).modified,
                      .xattrs = xattrs_of(ours_.store(), *now->node, is_brought)});
  return ok();
}

// Where an old path lies now that directories on the way to it were renamed: the last one counts.
std::string FoldPlanner::now_at(const std::string& old) const {
  for (std::string_view at = old; !at.empty(); at = text::parent_part(at)) {
    if (const auto moved = moves_.find(at); moved != moves_.end()) {
      return moved->second + old.substr(at.size());
    }
  }
  return old;
}

// The host's caches know a directory that was renamed as the same one, with the names that it had.
std::vector<FoldChange> FoldPlanner::where_it_was(const std::vector<FoldChange>& gone) const {
  std::vector<FoldChange> places;
  for (const FoldChange& one : gone) {
    const std::string parent(text::parent_part(one.path));
    const std::string now = now_at(parent);
    if (now == parent) continue;
    places.push_back({.operation = "remove",
                      .path = joined(now, std::string(text::last_part(one.path))),
                      .is_directory = one.is_directory,
                      .is_silent = true});
  }
  return places;
}

void FoldPlanner::tell(std::string operation, const std::string& path, std::uint64_t bytes) {
  plan_.changes.push_back({.operation = std::move(operation), .path = path, .bytes = bytes});
}

// Holes are free, and so is a second name.
void FoldPlanner::hold_more(const struct stat& state) {
  if (!S_ISDIR(state.st_mode) && !held_.insert(state.st_ino).second) return;
  plan_.growth.add(state);
}

// Other names keep what it holds.
void FoldPlanner::hold_less(const struct stat& state) {
  if (!S_ISDIR(state.st_mode) && ++gone_[state.st_ino] < state.st_nlink) return;
  plan_.growth.subtract(state);
}

// As those of a merge: names become free first, from files up to directories, and are then taken
// from directories down. What comes out of a directory that comes as a whole comes before it.
std::string FoldPlanner::order() {
  std::ranges::sort(directory_takes_, std::ranges::greater{}, &MergeStep::path);
  std::ranges::sort(puts_, {}, [](const MergeStep& step) {
    return std::pair{!step.after.is_directory(), std::string_view(step.path)};
  });
  std::ranges::sort(pieces_, std::ranges::greater{}, &FoldPiece::from);
  std::ranges::sort(dresses_, std::ranges::greater{}, &FoldDress::path);
  MergeRecord record{.durable = false, .steps = std::move(takes_)};
  std::ranges::move(directory_takes_, std::back_inserter(record.steps));
  std::ranges::move(puts_, std::back_inserter(record.steps));
  record.pieces = std::move(pieces_);
  std::ranges::move(links_, std::back_inserter(record.pieces));
  record.dresses = std::move(dresses_);
  plan_.is_empty = record.steps.empty() && !dresses_differ_;
  std::ranges::sort(removals_, std::ranges::greater{}, &FoldChange::path);
  std::vector<FoldChange> changes = where_it_was(removals_);
  std::ranges::move(where_it_was(renames_), std::back_inserter(changes));
  std::vector<FoldChange> moves = take_related(removals_, renames_);
  std::ranges::move(removals_, std::back_inserter(changes));
  std::ranges::move(renames_, std::back_inserter(moves));
  std::ranges::move(in_order(std::move(moves)), std::back_inserter(changes));
  std::ranges::move(plan_.changes, std::back_inserter(changes));
  plan_.changes = std::move(changes);
  return to_text(record);
}

}  // namespace agentfs::compare
