// SPDX-License-Identifier: MIT
#include "kernel/forks.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/git_quoted.h"
#include "base/text.h"
#include "kernel/history_keeper.h"
#include "kernel/import_turn.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/tree_order.h"

namespace agentfs {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kLongestName = 255;

std::vector<std::string> labels(const std::vector<SnapshotInfo>& all) {
  std::vector<std::string> names;
  for (const SnapshotInfo& one : all) names.push_back(one.label);
  return names;
}

// Whatever is in a name, it is one.
std::string told(std::vector<std::string> names, std::string_view between) {
  for (std::string& name : names) name = quoted_for_people(name);
  return text::join(names, between);
}

std::vector<SnapshotInfo> checkpoints_in(TreeInfo info) {
  std::erase_if(info.snapshots, [](const SnapshotInfo& one) {
    return one.hidden || MergeBases::is_label(one.label);
  });
  return std::move(info.snapshots);
}

// The tree each has come from, by number: a fork's is greater than its parent's, and comes later.
std::map<std::uint32_t, std::uint32_t> eldest_of(const std::vector<TreeInfo>& all) {
  std::map<std::uint32_t, std::uint32_t> eldest;
  for (const TreeInfo& one : all) {
    const std::uint32_t above = one.base ? one.base->tree : one.number;
    eldest[one.number] = eldest.try_emplace(above, above).first->second;
  }
  return eldest;
}

// What a tree was forked from or, where that is gone, what that was forked from; null where none of
// them is left, or known.
const TreeInfo* ancestor_of(const std::vector<TreeInfo>& all, const TreeInfo& info) {
  for (auto base = info.base; base;) {
    const auto above = std::ranges::find(all, base->tree, &TreeInfo::number);
    if (above == all.end()) return nullptr;
    if (!above->name.empty()) return &*above;
    base = above->base;
  }
  return nullptr;
}

// As the family tree has it.
std::string parent_in(const std::vector<TreeInfo>& all, const TreeInfo& info) {
  if (!info.base) return "-";
  const TreeInfo* const above = ancestor_of(all, info);
  if (above == nullptr) return "(discarded)";
  std::string name = above->name.starts_with(kHiddenTree) ? "(import)" : text::shown(above->name);
  return above->number == info.base->tree ? name : "(discarded) of " + name;
}

// The repository of a linked worktree has a place of its own, perhaps on the mount, where the
// commits of others are made.
std::string note_of_worktree(Forest& forest, const std::string& root) {
  const auto top = forest.tree(paths::name_of(root));
  const auto git = top ? forest.lookup(*top->node, ".git") : top;
  if (!git || git->node->type() != S_IFREG) return {};
  return "no commit is made of it: its .git is a file, which leads to a repository elsewhere\n";
}

}  // namespace

std::string shown(SnapshotId state) { return fmt::format("{}.{}", state.tree, state.sequence); }

std::string note_of_ended(const std::vector<std::string>& conflicts) {
  if (conflicts.empty()) return {};
  return fmt::format("with it end conflicts that were left: {}\n", text::shown_some(conflicts));
}

Status Forks::check_name(const std::string& name) {
  const bool is_one = !name.empty() && name != "." && name != ".." &&
                      !name.starts_with(kOwnNames) && name.find('/') == std::string::npos &&
                      name.find('\0') == std::string::npos;
  if (!is_one) {
    return fail(EINVAL, "{}: cannot be a name; one such as try-1, without a slash, would do",
                text::shown(name));
  }
  if (name.size() <= kLongestName) return ok();
  return fail(ENAMETOOLONG, "{}…: {} bytes are too many for a name; {} would do",
              text::prefix(name, 20), name.size(), kLongestName);
}

std::string Forks::sibling(const std::string& root, const std::string& name) {
  return fmt::format("{}/{}", paths::top_of(root), name);
}

Result<Forest*> Forks::forest_of(const std::string& root) const {
  const auto& forests = kernel_.parts().forests;
  const auto found = forests.find(paths::top_of(root));
  if (found != forests.end()) return found->second;
  return fail(ENOTSUP, "{}: cannot be forked; workspaces and homes can", root);
}

std::optional<TreeInfo> Forks::info_of(const std::string& root) const {
  const auto forest = forest_of(root);
  if (!forest) return std::nullopt;
  return (*forest)->info(paths::name_of(root));
}

std::optional<SnapshotId> Forks::base_of(const std::string& root) const {
  const auto info = info_of(root);
  return info ? info->base : std::nullopt;
}

std::vector<SnapshotInfo> Forks::checkpoints(const std::string& root) const {
  auto info = info_of(root);
  return info ? checkpoints_in(std::move(*info)) : std::vector<SnapshotInfo>();
}

Result<SnapshotInfo> Forks::find(const std::string& root, const std::string& name) const {
  const std::vector<SnapshotInfo> all = checkpoints(root);
  const auto found = std::ranges::find(all, name, &SnapshotInfo::label);
  if (found != all.end()) return *found;
  const std::vector<std::string> names = labels(all);
  return fail(ENOENT, "{}: {} has no checkpoint of this name{}; {}", text::shown(name), root,
              text::did_you_mean(name, names),
              names.empty() ? "it has none" : "there are " + told(names, ", "));
}

Result<TreeNodeRef> Forks::checkpoint_root(const std::string& root, const std::string& name) const {
  const SnapshotInfo info = TRY(find(root, name));
  return TRY(forest_of(root))->snapshot_root(info.id);
}

Status Forks::drop_checkpoint(const std::string& root, const SnapshotInfo& checkpoint) const {
  TRY(TRY(forest_of(root))->drop(checkpoint.id));
  kernel_.imports().drop_base(root, checkpoint.label);
  return ok();
}

Status Forks::may_change(const Caller& caller, const std::string& root) const {
  TRY(kernel_.history().may_see(caller, root));
  return kernel_.may_change(caller, root);
}

Status Forks::check_new(const std::string& root, const std::string& name) const {
  TRY(check_name(name));
  TRY(kernel_.journal().check_room(false));
  if (std::ranges::count(checkpoints(root), name, &SnapshotInfo::label) != 0) {
    return fail(EEXIST, "{}: {} has a checkpoint of this name; `discard {}` would make room",
                text::shown(name), root, text::shown(name));
  }
  if (!is_undo(name)) return ok();
  return fail(EINVAL,
              "{}: a rollback calls what it replaces so; another name, such as before-{}, would do",
              text::shown(name), text::shown(name));
}

// --- what is done

// Who may make no directory there has no name of his choice either: another's home, perhaps.
Status Forks::check_beside(const Caller& caller, const std::string& root,
                           const std::string& name) const {
  const uid_t uid = kernel_.user_of(caller);
  const std::string own = paths::name_of(root) + "-";
  if (kernel_.is_ruler(uid) || name.starts_with(own)) return ok();
  return fail(EPERM,
              "{}/{}: forks of uid {} are named after what they are of; one such as {}{} would do",
              paths::top_of(root), text::shown(name), uid, own, "2");
}

Result<std::string> Forks::fork(const Caller& caller, const std::string& root,
                                const std::string& name,
                                const std::optional<std::string>& checkpoint) {
  TRY(kernel_.history().may_see(caller, root));
  TRY(check_new(root, name));
  const std::string path = sibling(root, name);
  TRY(kernel_.may_change(caller, path));
  TRY(check_beside(caller, root, name));
  const Hold held = TRY(kernel_.paths().begin_snapshot(root));
  Forest& forest = *TRY(forest_of(root));
  const MergePause pause(kernel_.conflicts(), root);
  TRY(check_new(root, name));  // somebody else may have been first
  if (!checkpoint) TRY(kernel_.merges().end_before(root));
  SnapshotId state;
  if (checkpoint) {
    const auto found = find(root, *checkpoint);
    if (!found) {
      return fail(found.error().code,
                  "{}; a name of the fork that has blanks is one word in double quotes",
                  found.error().message);
    }
    TRY(check_owner_then(caller, root, *found));
    state = found->id;
  }
  TreeChange row{.operation = "fork", .path = path, .other = root};
  if (checkpoint) row.details.emplace_back("checkpoint", *checkpoint);
  const StoredOrder order =
      forest.tree(name) ? StoredOrder() : begin_tree_order(kernel_, caller, row);
  bool is_made = false;
  const auto make = [&](Names&) -> Status {
    if (!checkpoint) state = TRY(forest.fork(paths::name_of(root), name));
    if (checkpoint) TRY(forest.fork(state, name));
    is_made = true;
    return ok();
  };
  const auto tell = [&] {
    row.details.emplace_back("state", shown(state));
    return kernel_.record_change(caller, row);
  };
  Status made = kernel_.paths().replace_tree(path, {make, tell});
  if (made) return fmt::format("{} is a fork of {}\n", path, root);
  // Nothing happens that the journal does not tell of.
  if (is_made) TRY(kernel_.paths().replace_tree(path, {[&](Names&) { return forest.drop(name); }}));
  if (is_made || made.error().code != EEXIST) return std::unexpected(std::move(made).error());
  return fail(EEXIST, "{}: is there already; another name would do", path);
}

Result<std::string> Forks::checkpoint(const Caller& caller, const std::string& root,
                                      const std::string& name) {
  TRY(may_change(caller, root));
  TRY(check_new(root, name));
  const auto check_no_fork = [&]() -> Status {
    const auto own = info_of(root);
    const auto base = base_of(sibling(root, name));
    if (!own || !base || base->tree != own->number) return ok();
    return fail(EEXIST, "{}: is the name of a fork of {}; another one would do", text::shown(name),
                root);
  };
  TRY(check_no_fork());
  const Hold held = TRY(kernel_.paths().begin_snapshot(root));
  Forest& forest = *TRY(forest_of(root));
  const MergePause of_import(kernel_.conflicts(), import_key(root));
  const MergePause pause(kernel_.conflicts(), root);
  TRY(check_new(root, name));  // somebody else may have been first
  TRY(check_no_fork());
  TRY(kernel_.merges().end_before(root));
  const std::optional<Sequence> reached = kernel_.checkpoint_reaches(root);
  TRY(kernel_.imports().keep_base(root, name));
  TreeChange row{.operation = "checkpoint", .path = root};
  row.details = {{"name", name}};
  if (reached) row.details.emplace_back("reached", reached->value);
  const StoredOrder order = begin_tree_order(kernel_, caller, row);
  TRY(kernel_.paths().between_changes(root, [&]() -> Status {
    const SnapshotId state = TRY(forest.snapshot(paths::name_of(root), name));
    row.details.emplace_back("state", shown(state));
    Status told = kernel_.record_change(caller, row);
    if (!told) kernel_.imports().drop_base(root, name);
    if (!told) TRY(forest.drop(state));
    return told;
  }));
  if (reached) kernel_.commit_checkpoints(paths::name_of(root));
  return fmt::format("{} is kept as {}\n{}", root, name,
                     reached ? std::string() : note_of_worktree(forest, root));
}

std::vector<std::string> Forks::kin_of(const std::string& root) const {
  const auto own = info_of(root);
  const auto forest = forest_of(root);
  std::vector<std::string> names;
  if (!own || !forest) return names;
  for (const TreeInfo& one : (*forest)->family()) {
    const bool is_fork = one.base && one.base->tree == own->number;
    const bool is_parent = own->base && own->base->tree == one.number;
    if ((is_fork || is_parent) && !one.name.empty()) names.push_back(one.name);
  }
  std::erase_if(names, [](const std::string& one) { return one.starts_with(kHiddenTree); });
  return names;
}

std::vector<std::string> Forks::descendants(const std::string& root) const {
  const auto own = info_of(root);
  const auto forest = forest_of(root);
  std::vector<std::string> names;
  if (!own || !forest) return names;
  const std::vector<TreeInfo> all = (*forest)->family();
  for (const TreeInfo& one : all) {
    const TreeInfo* const above = one.name.empty() ? nullptr : ancestor_of(all, one);
    if (above != nullptr && above->number == own->number) names.push_back(one.name);
  }
  return names;
}

// Where there is neither a fork nor a checkpoint to discard.
std::unexpected<Error> Forks::no_such(const std::string& root, const std::string& name) const {
  std::vector<std::string> names = labels(checkpoints(root));
  std::ranges::move(descendants(root), std::back_inserter(names));
  return fail(ENOENT, "{}: {} has no fork or checkpoint of this name{}; {}", text::shown(name),
              root, text::did_you_mean(name, names),
              names.empty() ? "it has none" : "there are " + told(names, ", "));
}

bool are_forests_loose(const Kernel& kernel) {
  return std::ranges::any_of(kernel.parts().forests,
                             [](const auto& one) { return one.second->is_loose(); });
}

Status Forks::materialise(const std::string& path, bool whole) const {
  const auto slash = path.find('/', 1);
  const auto& forests = kernel_.parts().forests;
  const auto found = forests.find(path.substr(0, slash));
  if (found == forests.end() || slash == std::string::npos) return ok();
  Forest& forest = *found->second;
  TreeNodeRef node = forest.root();
  bool is_top = true;
  for (const std::string_view name : text::split(std::string_view(path).substr(slash + 1), '/')) {
    if (!is_top) TRY(forest.solidify(*node, false));
    is_top = false;
    node = TRY(forest.lookup(*node, std::string(name))).node;
    if (node->type() != S_IFDIR) break;
  }
  const bool is_solid = node->type() != S_IFDIR && node->type() != S_IFREG;
  return is_solid ? ok() : forest.solidify(*node, whole);
}

// --- what is told

std::string Forks::family(const std::string& root) const {
  const auto forest = forest_of(root);
  if (!forest) return {};
  const std::vector<TreeInfo> all = (*forest)->family();
  const auto own = std::ranges::find(all, paths::name_of(root), &TreeInfo::name);
  auto eldest = eldest_of(all);
  std::string out = "# tree\tfork of\tcheckpoints\n";
  for (const TreeInfo& info : all) {
    if (info.name.empty() || info.name.starts_with(kHiddenTree)) continue;
    if (own == all.end() || eldest[info.number] != eldest[own->number]) continue;
    const std::vector<std::string> names = labels(checkpoints_in(info));
    out += fmt::format("{}\t{}\t{}\n", text::shown(info.name), parent_in(all, info),
                       names.empty() ? "-" : told(names, " "));
  }
  return out;
}

}  // namespace agentfs
