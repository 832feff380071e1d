// SPDX-License-Identifier: MIT
#include "backends/compare/fold_plan.h"

#include <algorithm>
#include <set>

#include "backends/tree_xattrs.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Kind = UpperEntry::Kind;
using Step = MergeStep::Kind;

std::string_view made_by(mode_t mode) {
  if (S_ISDIR(mode)) return "mkdir";
  if (S_ISLNK(mode)) return "symlink";
  return S_ISREG(mode) ? "create" : "mknod";
}

std::uint64_t bytes_of(const struct stat& state) {
  return S_ISREG(state.st_mode) ? static_cast<std::uint64_t>(state.st_size) : 0;
}

}  // namespace

FileState state_of_stat(const struct stat& state) { return state_of({nullptr, state}); }

Result<FoldPlan> FoldPlanner::run() {
  upper_ = TRY(UpperDirectory::open(left_.upper));
  tree_ = TRY(read_upper_tree(*upper_, ours_.side()));
  TRY(dress(tree_.root, ""));
  TRY(visit(tree_.root, "", false));
  TRY(link_others());
  plan_.record = order();
  tell_lone_times();
  return std::move(plan_);
}

// A directory's time goes with what is changed in it; where nothing is, somebody has set it.
void FoldPlanner::tell_lone_times() {
  std::set<std::string, std::less<>> changed;
  for (const FoldChange& change : plan_.changes) {
    if (change.operation == "attributes") continue;
    changed.emplace(text::parent_part(change.path));
    if (!change.other.empty()) changed.emplace(text::parent_part(change.other));
  }
  for (FoldChange& change : plan_.changes) {
    const bool is_time = change.operation == "attributes" && change.is_silent;
    if (is_time && !changed.contains(change.path)) change.is_silent = false;
  }
}

// --- directories that lie over one of ours

Status FoldPlanner::visit(const Node& directory, const std::string& path, bool displaced) {
  for (const Node& child : directory.children) {
    const std::string below = joined(path, child.name);
    if (is_reserved(below)) {
      leave(below);
      continue;
    }
    TRY(visit_child(child, below, joined(*directory.lower, child.name), displaced));
  }
  return ok();
}

Status FoldPlanner::visit_child(const Node& child, const std::string& path, const std::string& old,
                                bool displaced) {
  switch (child.entry.kind) {
    case Kind::leaf:
      return place_leaf(child, path, old, displaced);
    case Kind::directory:
      return visit_directory(child, path, old, displaced);
    case Kind::whiteout:
      break;
  }
  return tree_.moved.contains(old) ? ok() : remove(old);
}

Status FoldPlanner::visit_directory(const Node& child, const std::string& path,
                                    const std::string& old, bool displaced) {
  if (child.is_lost) {
    refuse(child, path);
    return ok();
  }
  const bool is_merged = child.lower && *child.lower == old && !child.is_moved;
  if (is_merged) {
    TRY(dress(child, path));
    return visit(child, path, displaced);
  }
  if (const auto now = TRY(find_old(old))) {
    const Doomed all = TRY(doomed(old));
    const bool is_union = !all.changed.empty() && now->node->type() == S_IFDIR && !child.is_moved;
    if (is_union) {  // what others made or changed there stays, beside what the command made
      Node both = child;
      both.lower = old;
      TRY(remove_beside(both, *now));
      TRY(dress(both, path));
      return visit(both, path, displaced);
    }
    if (!all.changed.empty()) {
      refuse(child, path);
      return ok();
    }
    TRY(remove(old));
  }
  return child.is_moved ? move(child, path) : bring_new(child, path);
}

// The command removed the directory, and made another.
Status FoldPlanner::remove_beside(const Node& made, const TreeEntry& now) {
  for (const std::string& name : TRY(names_of(ours_.store(), *now.node))) {
    const std::string below = joined(*made.lower, name);
    const bool is_made = std::ranges::find(made.children, name, &Node::name) != made.children.end();
    if (!is_made && !is_reserved(below) && !tree_.moved.contains(below)) TRY(remove(below));
  }
  return ok();
}

Status FoldPlanner::move(const Node& node, const std::string& path) {
  const auto now = TRY(ours_.find(*node.lower));
  if (!now) return fail(ESTALE, "{}: is gone", text::shown(*node.lower));
  const FileState state = state_of(*now);
  const std::string name = next_name(kMoving);
  MergeStep take{.kind = Step::take, .path = *node.lower, .name = name, .before = state};
  take.whole = true;
  directory_takes_.push_back(take);
  MergeStep put{.kind = Step::put, .path = path, .name = name, .after = state};
  put.whole = true;
  puts_.push_back(std::move(put));
  touched_.insert(*node.lower);
  moves_[*node.lower] = path;
  renames_.push_back(
      {.operation = "rename", .path = *node.lower, .other = path, .is_directory = true});
  TRY(dress(node, path));
  return visit(node, path, true);
}

// --- files

Status FoldPlanner::place_leaf(const Node& leaf, const std::string& path, const std::string& old,
                               bool displaced) {
  const auto now = TRY(find_old(old));
  if (!now) {
    if (leaf.entry.is_copied && changed_(path)) {
      refuse(leaf, path);
      return ok();
    }
    bring(leaf, path);
    return ok();
  }
  if (now->node->type() != S_IFDIR) return replace_leaf(leaf, path, *now, old, displaced);
  if (!TRY(doomed(old)).changed.empty()) {
    refuse(leaf, path);
    return ok();
  }
  TRY(remove(old));
  bring(leaf, path);
  return ok();
}

Status FoldPlanner::replace_leaf(const Node& leaf, const std::string& path, const TreeEntry& now,
                                 const std::string& old, bool displaced) {
  const struct stat& state = leaf.entry.state;
  // A file that got another name is the one that comes with that, for all its names.
  const bool is_same = TRY(this->is_same(upper_->host_path(path), state, now));
  if (is_same && tree_.names[state.st_ino] == 1) return ok();
  if (TRY(is_changed(old))) {
    // Under one name alone a merge would not be what the others show.
    const bool is_text =
        S_ISREG(state.st_mode) && now.node->type() == S_IFREG && TRY(find_linked(old)) == nullptr;
    keep_ours({.path = path, .upper = path, .is_text = is_text}, old);
    return ok();
  }
  const FileState before = state_of(now);
  touched_.insert(old);
  brought_.insert(state.st_ino);
  pieces_.push_back({.from = path, .name = next_name(kComing)});
  MergeStep step{.kind = Step::put, .path = path, .name = pieces_.back().name};
  step.after = state_of_stat(state);
  if (displaced) {
    takes_.push_back(
        {.kind = Step::take, .path = old, .name = next_name(kGoing), .before = before});
  } else {
    step.kind = Step::swap;
    step.before = before;
  }
  puts_.push_back(std::move(step));
  hold_less(now.attributes);
  hold_more(state);
  if (before.type() != (state.st_mode & S_IFMT)) {
    tell("remove", path);
    tell(std::string(made_by(state.st_mode)), path, bytes_of(state));
  } else {
    tell("write", path, bytes_of(state));
    plan_.changes.back().is_silent = is_same;
  }
  return ok();
}

// As it is, with all in it.
void FoldPlanner::bring(const Node& node, const std::string& path) {
  const struct stat& state = node.entry.state;
  pieces_.push_back({.from = path, .name = next_name(kComing)});
  MergeStep put{.kind = Step::put, .path = path, .name = pieces_.back().name};
  put.after = state_of_stat(state);
  put.whole = S_ISDIR(state.st_mode);
  puts_.push_back(std::move(put));
  if (S_ISDIR(state.st_mode)) return;
  brought_.insert(state.st_ino);
  tell(std::string(made_by(state.st_mode)), path, bytes_of(state));
  hold_more(state);
}

Status FoldPlanner::bring_new(const Node& node, const std::string& path) {
  bring(node, path);
  return tell_new(node, path, false);
}

Status FoldPlanner::tell_new(const Node& node, const std::string& path, bool is_inner) {
  const struct stat& state = node.entry.state;
  plan_.changes.push_back({.operation = std::string(made_by(state.st_mode)),
                           .path = path,
                           .is_inner = is_inner,
                           .bytes = bytes_of(state)});
  hold_more(state);
  brought_.insert(state.st_ino);
  bool has_lost_some = false;
  for (const Node& child : node.children) {
    TRY(tell_new_child(child, joined(path, child.name), has_lost_some));
  }
  if (has_lost_some) {
    dresses_.push_back({.path = path,
                        .modified = state_of_stat(state).modified,
                        .xattrs = TRY(brought_xattrs(upper_->host_path(path)))});
  }
  return ok();
}

// What lies in a new directory comes with it, unless it is a directory of ours that was moved
// there.
Status FoldPlanner::tell_new_child(const Node& child, const std::string& path,
                                   bool& has_lost_some) {
  if (is_reserved(path)) {
    leave(path);
  } else if (child.is_lost) {
    refuse(child, path);
  } else if (child.lower) {
    TRY(move(child, path));
  } else if (child.entry.kind != Kind::whiteout) {
    return tell_new(child, path, true);
  }
  has_lost_some = true;
  go_aside(path);
  return ok();
}

void FoldPlanner::leave(const std::string& path) {
  plan_.notes.push_back(fmt::format("{}: left out, the name is the mount's", path));
  plan_.leaves_some = true;
}

void FoldPlanner::go_aside(const std::string& path) {
  pieces_.push_back({.kind = FoldPiece::Kind::aside, .from = path, .name = next_name('x')});
}

// --- what goes

Result<FoldPlanner::Doomed> FoldPlanner::doomed(const std::string& old) {
  Doomed all;
  std::vector<std::string> open{old};
  while (!open.empty()) {
    const std::string path = std::move(open.back());
    open.pop_back();
    if (tree_.moved.contains(path)) continue;
    const auto found = TRY(ours_.find(path));
    if (!found) continue;
    all.entries.emplace_back(path, *found);
    if (TRY(is_changed(path))) all.changed.push_back(path);
    if (found->node->type() != S_IFDIR) continue;
    for (const std::string& name : TRY(names_of(ours_.store(), *found->node))) {
      open.push_back(joined(path, name));
    }
  }
  return all;
}

// What others have changed stays, with the directories on the way to it.
Status FoldPlanner::remove(const std::string& old) {
  const Doomed all = TRY(doomed(old));
  std::set<std::string, std::less<>> staying;
  for (const std::string& path : all.changed) {
    keep_ours({.path = path}, path);
    for (std::string_view at = path; !at.empty(); at = text::parent_part(at)) staying.emplace(at);
  }
  for (const auto& [path, now] : all.entries) {
    if (!staying.contains(path)) take(path, now);
  }
  return ok();
}

void FoldPlanner::take(const std::string& old, const TreeEntry& now) {
  const FileState state = state_of(now);
  MergeStep step{.kind = Step::take, .path = old, .name = next_name(kGoing), .before = state};
  (state.is_directory() ? directory_takes_ : takes_).push_back(std::move(step));
  touched_.insert(old);
  hold_less(now.attributes);
  removals_.push_back({.operation = "remove", .path = old, .is_directory = state.is_directory()});
}

// Directories too: of what was done to them alone, no file in them tells.
void FoldPlanner::refuse(const Node& node, const std::string& path) {
  const bool is_removal = node.entry.kind == Kind::whiteout;
  plan_.conflicts.push_back({.path = path, .upper = is_removal ? std::string() : path});
  for (const Node& child : node.children) refuse(child, joined(path, child.name));
}

// --- the rest of a plan

Status FoldPlanner::dress(const Node& node, const std::string& path) {
  const auto now = TRY(ours_.find(*node.lower));
  if (!now) return fail(ESTALE, "{}: is gone", text::shown(*node.lower));
  const struct stat& wanted = node.entry.state;
  FoldDress dress{.path = path, .modified = state_of_stat(wanted).modified};
  const mode_t mode = wanted.st_mode & kPermissions;
  const Xattrs has = xattrs_of(ours_.store(), *now->node, is_brought);
  const bool stays = changed_(*node.lower);
  dress.xattrs = stays ? has : TRY(brought_xattrs(upper_->host_path(path)));
  const bool has_mode = mode == (now->attributes.st_mode & kPermissions);
  if (!has_mode && !stays) dress.mode = mode;
  if (stays && (!has_mode || TRY(brought_xattrs(upper_->host_path(path))) != has)) {
    plan_.notes.push_back(
        fmt::format("{}: others set attributes of it while the command ran; these stay, and what "
                    "the command set, if anything, is left out",
                    path.empty() ? "." : text::shown(path)));
  }
  const bool is_told = dress.mode || dress.xattrs != has;
  const bool differs = is_told || dress.modified != state_of(*now).modified;
  if (differs) tell("attributes", path);
  if (differs) plan_.changes.back().is_silent = !is_told;
  dresses_differ_ = dresses_differ_ || differs;
  dresses_.push_back(std::move(dress));
  return ok();
}

Result<std::optional<TreeEntry>> FoldPlanner::find_old(const std::string& old) {
  if (tree_.moved.contains(old)) return std::optional<TreeEntry>();
  return ours_.find(old);
}

}  // namespace agentfs::compare
