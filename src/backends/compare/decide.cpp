// SPDX-License-Identifier: MIT
#include "backends/compare/decide.h"

#include "backends/compare/attributes.h"
#include "backends/compare/decisions.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;
using Reason = MergeConflict::Reason;

}  // namespace

Decider::Decider(const MergeSides& sides, const Known& known, const CompareOptions& options)
    : base_(sides.base),
      ours_(sides.ours),
      theirs_(sides.theirs),
      places_(known.ours_directories, known.theirs_directories, sides.theirs),
      theirs_directories_(known.theirs_directories),
      options_(options) {
  for (const PathChange& change : known.ours) {
    const bool is_leaf = change.before.exists() && !change.before.is_directory();
    if (is_leaf || change.whole) ours_changes_.emplace(change.from, &change);
    const bool stays = change.before.is_directory() && change.after.is_directory();
    if (stays && !change.whole) ours_directories_.emplace(change.from, &change);
  }
}

const PathChange* Decider::ours_change_of(std::string_view base_path) const {
  const auto found = ours_changes_.find(base_path);
  return found == ours_changes_.end() ? nullptr : found->second;
}

// Wherever one of the two went, the other would have to be in it and around it.
Result<Decision> Decider::moved_into_each_other(const PathChange& theirs) {
  const bool is_moved = !theirs.from.empty() && theirs.path != theirs.from;
  const DirectoryRename* const along = is_moved ? theirs_directories_.of(theirs.from) : nullptr;
  if (along == nullptr || !lead_into_each_other(*along, places_.renamed())) return Decision{};
  const PathChange* const change = ours_change_of(theirs.from);
  const std::string path = change == nullptr ? theirs.from : change->path;
  return because(conflict_of(theirs, path, TRY(ours_.state(path))), Reason::renamed,
                 fmt::format("its directory {} is {} in theirs, and ours has moved {} into that",
                             text::shown(along->from), text::shown(along->to),
                             text::shown(places_.renamed().of(along->to)->from)));
}

Result<Decision> Decider::leaf(const PathChange& theirs) {
  Decision apart = TRY(moved_into_each_other(theirs));
  if (apart.conflict) return apart;
  auto decided = theirs.kind == Kind::added     ? added(theirs)
                 : theirs.kind == Kind::deleted ? deleted(theirs)
                                                : changed(theirs);
  if (decided) return decided;
  return fail(decided.error().code, "{}: {}", text::shown(theirs.path), decided.error().message);
}

Result<bool> Decider::is_same(const PathChange& theirs, std::string_view ours_path) {
  const Leaf one = TRY(ours_.leaf(ours_path));
  const Leaf other = TRY(theirs_.leaf(theirs.path));
  return one.entry.node->type() == other.entry.node->type() && TRY(same_content(one, other));
}

// Both sides have it, and base has nothing that would tell who has changed it.
Result<bool> Decider::are_dressed_alike(const PathChange& theirs, const std::string& place) {
  if (!theirs.after.is_regular() && !theirs.after.is_directory()) return true;
  return attributes_of(TRY(ours_.leaf(place))) == attributes_of(TRY(theirs_.leaf(theirs.path)));
}

Result<Decision> Decider::added_directory(const PathChange& theirs) {
  const std::string place = TRY(places_.place_of(theirs.path));
  const FileState ours = TRY(ours_.state(place));
  MergeConflict conflict = conflict_of(theirs, place, ours);
  if (ours.is_directory()) {
    if (modes_differ(ours, theirs.after)) return modes_apart(std::move(conflict));
    if (!TRY(are_dressed_alike(theirs, place))) return dressed_apart(std::move(conflict));
  }
  if (TRY(is_brought_by_files(theirs, theirs_directories_, {base_, ours_, theirs_})))
    return Decision{};
  const DirectoryRename* const back = theirs_directories_.back(theirs.path);
  if (back != nullptr && lead_into_each_other({back->to, back->from}, places_.renamed())) {
    return Decision{};  // what is in it stays, in conflict
  }
  return Decision{.action = MergeAction{.kind = MergeAction::Kind::make_directory,
                                        .mode = theirs.after.mode,
                                        .path = place,
                                        .theirs_path = theirs.path,
                                        .theirs = theirs.after}};
}

// A directory of ours in its place is left to the one who sees all decisions.
Result<Decision> Decider::added(const PathChange& theirs) {
  const std::string place = TRY(places_.place_of(theirs.path));
  const FileState ours = TRY(ours_.state(place));
  auto action = action_of(MergeAction::Kind::write, theirs);
  action.path = place;
  if (!ours.exists() || ours.is_directory()) return Decision{.action = std::move(action)};
  MergeConflict conflict = conflict_of(theirs, place, ours);
  if (ours.type() != theirs.after.type()) {
    return because(std::move(conflict), Reason::type, "both sides added it, of different types");
  }
  if (TRY(is_same(theirs, place))) {
    if (modes_differ(ours, theirs.after)) return modes_apart(std::move(conflict));
    return TRY(are_dressed_alike(theirs, place)) ? Decision{} : dressed_apart(std::move(conflict));
  }
  if (ours.is_regular()) {
    const auto merged = merge_leaves({.base = std::nullopt,
                                      .ours = TRY(ours_.leaf(place)),
                                      .theirs = TRY(theirs_.leaf(theirs.path))},
                                     options_.largest);
    conflict.has_merged = merged.has_value();
    // As git sees it, an empty file and a text make the text.
    if (merged && merged->is_clean) {
      if (modes_differ(ours, theirs.after)) return modes_apart(std::move(conflict));
      action.merged = true;
      action.ours_path = place;
      action.ours = ours;
      return Decision{.action = std::move(action)};
    }
  }
  return because(std::move(conflict), Reason::both_added,
                 "both sides added it, with different content");
}

Result<Decision> Decider::deleted(const PathChange& theirs) {
  const PathChange* const change = ours_change_of(theirs.from);
  if (change == nullptr) {
    auto action = action_of(MergeAction::Kind::remove, theirs);
    action.ours_path = theirs.from;
    action.ours = TRY(ours_.state(theirs.from));
    if (!action.ours.exists()) return fail(ESTALE, "gone from ours meanwhile; merge again");
    if (TRY(is_as_base(theirs))) return Decision{.action = std::move(action)};
    return because(conflict_of(theirs, theirs.from, action.ours), Reason::deleted,
                   "changed in ours, deleted in theirs");
  }
  if (!change->after.exists()) return Decision{};
  const bool is_moved = change->kind == Kind::renamed;
  if (is_moved && TRY(theirs_.state(change->path)).exists()) {
    return Decision{};  // theirs has it there too: told as added
  }
  return because(
      conflict_of(theirs, change->path, change->after), Reason::deleted,
      is_moved ? "renamed in ours, deleted in theirs" : "changed in ours, deleted in theirs");
}

// What ours had not changed when it was walked may have been written to since. Asked after the
// state that is checked again was read, so that no write falls between the two.
Result<bool> Decider::is_as_base(const PathChange& theirs) {
  const Leaf one = TRY(base_.leaf(theirs.from));
  const Leaf other = TRY(ours_.leaf(theirs.from));
  if (one.entry.node->type() != other.entry.node->type()) return false;
  const auto is_same = same_content(one, other);
  const bool is_lost = !is_same && is_same.error().code == EBUSY;  // nobody has what it was
  return is_lost ? Result<bool>(true) : is_same;
}

// As renames see them, which read both from one place where they are recorded apart: what ours has
// not changed is theirs then, or it would pass for changed as long as it is read from there.
Result<bool> Decider::is_recorded_apart(const PathChange& theirs) {
  if (theirs.kind != Kind::renamed || theirs.content) return false;
  const Leaf before = TRY(base_.leaf(theirs.from));
  const Leaf after = TRY(theirs_.leaf(theirs.path));
  return before.store == after.store &&
         !before.store->has_same_bytes(*before.entry.node, *after.entry.node).value_or(true);
}

Result<Decision> Decider::changed(const PathChange& seen) {
  const PathChange* const change = ours_change_of(seen.from);
  const bool is_moved = seen.path != seen.from;
  PathChange theirs = seen;
  if (change == nullptr || !change->content) theirs.content |= TRY(is_recorded_apart(seen));
  Versions versions{.theirs = theirs, .ours_path = seen.from};
  if (is_moved) versions.place = TRY(places_.place_of(seen.path));
  if (change == nullptr) {
    versions.ours = TRY(ours_.state(seen.from));
    if (!versions.ours.exists()) return fail(ESTALE, "gone from ours meanwhile; merge again");
    versions.ours_content = theirs.content && !TRY(is_as_base(theirs));
    return combined(versions);
  }
  if (!change->after.exists()) {
    // Ours may have renamed it too, and changed so much that it counted as deleted and added; or
    // what it has there is another file. Only what theirs changed in it would tell.
    if (is_moved) versions.ours = TRY(ours_.state(versions.place));
    const bool is_taken = versions.ours.exists() && !versions.ours.is_directory();
    if (is_taken && !theirs.content) return added(theirs);
    if (is_taken) {
      versions.ours_path = versions.place;
      versions.ours_content = true;
      return combined(versions);
    }
    return because(
        conflict_of(theirs, "", {}), Reason::deleted,
        is_moved ? fmt::format("deleted in ours, renamed in theirs to {}", text::shown(theirs.path))
                 : "deleted in ours, changed in theirs");
  }
  if (is_moved && change->path != theirs.from && change->path != versions.place) {
    const auto place =
        place_of({theirs.from, change->path, theirs.path}, places_.renamed(), theirs_directories_);
    if (!place) {
      return because(conflict_of(theirs, change->path, change->after), Reason::renamed,
                     fmt::format("renamed in ours, and in theirs to {}", text::shown(theirs.path)));
    }
    versions.place = *place;
  }
  if ((change->kind == Kind::retyped && is_moved) ||
      (change->kind == Kind::renamed && theirs.kind == Kind::retyped)) {
    return because(conflict_of(theirs, change->path, change->after), Reason::type,
                   "one side renamed it, the other made it a file of another type");
  }
  versions.ours_path = change->path;
  versions.ours = change->after;
  versions.ours_content = change->content;
  versions.ours_attributes = change->attributes;
  return combined(versions);
}

bool Decider::is_one_retyped_and_one_dressed(const Versions& versions) {
  const PathChange& theirs = versions.theirs;
  const bool ours_retyped = versions.ours.type() != theirs.before.type();
  if (theirs.kind == Kind::retyped) {
    return !ours_retyped &&
           (versions.ours_attributes || modes_differ(theirs.before, versions.ours));
  }
  return ours_retyped && (theirs.attributes || modes_differ(theirs.before, theirs.after));
}

Result<Decision> Decider::attributes(const Versions& versions, bool& takes) {
  const PathChange& theirs = versions.theirs;
  takes = false;
  const bool has_any = theirs.after.is_regular() || theirs.after.is_directory();
  if (!theirs.attributes || !has_any || versions.ours.type() != theirs.after.type()) {
    return Decision{};
  }
  const FileAttributes ours = attributes_of(TRY(ours_.leaf(versions.ours_path)));
  const auto merged = merge_attributes(attributes_of(TRY(base_.leaf(theirs.from))), ours,
                                       attributes_of(TRY(theirs_.leaf(theirs.path))));
  takes = merged.merged != ours;
  if (merged.clash.empty()) return Decision{};
  return because(conflict_of(theirs, versions.ours_path, versions.ours), Reason::attributes,
                 fmt::format("both sides changed its {}", merged.clash));
}

// Of a file in conflict the other name of theirs is not taken either.
Result<Decision> Decider::combined(const Versions& versions) {
  const PathChange& theirs = versions.theirs;
  Decision decision = TRY(both(versions));
  if (decision.conflict && decision.conflict->is_renamed_by_theirs()) {
    decision.conflict->sentence += fmt::format("; theirs has it as {}", text::shown(theirs.path));
  }
  return decision;
}

Result<Decision> Decider::both(const Versions& versions) {
  const PathChange& theirs = versions.theirs;
  bool takes_attributes = false;
  Decision clash = TRY(attributes(versions, takes_attributes));
  if (clash.conflict) return clash;
  auto action = action_of(MergeAction::Kind::write, theirs);
  action.ours_path = versions.ours_path;
  action.ours = versions.ours;
  action.path = theirs.path == theirs.from ? versions.ours_path : versions.place;
  action.attributes = takes_attributes;
  action.equal = !theirs.content && !versions.ours_content;
  if (theirs.content && versions.ours_content) {
    if (!TRY(is_same(theirs, versions.ours_path))) {
      return both_changed(versions, std::move(action));
    }
    action.equal = true;
  } else if (is_one_retyped_and_one_dressed(versions)) {
    return because(conflict_of(theirs, versions.ours_path, versions.ours), Reason::type,
                   "one side changed its permissions or attributes, the other made it a file of "
                   "another type");
  } else if (theirs.content && theirs.kind == Kind::retyped) {
    return Decision{.action = std::move(action)};
  }
  const mode_t type =
      theirs.content && !versions.ours_content ? theirs.after.type() : versions.ours.type();
  const auto permissions =
      merged_permissions(theirs.before.mode, versions.ours.mode, theirs.after.mode);
  if (!permissions && type != S_IFLNK) {
    return because(
        conflict_of(theirs, versions.ours_path, versions.ours), Reason::mode,
        fmt::format("mode {:o} in ours, {:o} in theirs", versions.ours.mode & kPermissions,
                    theirs.after.mode & kPermissions));
  }
  action.mode = type | permissions.value_or(0777);
  if (theirs.content && !versions.ours_content) return Decision{.action = std::move(action)};
  action.kind = MergeAction::Kind::move;
  if (action.path == versions.ours_path) action.kind = MergeAction::Kind::set_mode;
  const bool is_done = action.path == versions.ours_path && !takes_attributes &&
                       (type == S_IFLNK || action.mode == versions.ours.mode);
  return is_done ? Decision{} : Decision{.action = std::move(action)};
}

Result<Decision> Decider::both_changed(const Versions& versions, MergeAction action) {
  const PathChange& theirs = versions.theirs;
  MergeConflict conflict = conflict_of(theirs, versions.ours_path, versions.ours);
  if (versions.ours.type() != theirs.after.type() || theirs.kind == Kind::retyped) {
    return because(std::move(conflict), Reason::type, "both sides changed it, its type among that");
  }
  if (!versions.ours.is_regular()) {
    return because(std::move(conflict), Reason::content,
                   "both sides changed where it points to or what it stands for");
  }
  const auto merged = merge_leaves({.base = TRY(base_.leaf(theirs.from)),
                                    .ours = TRY(ours_.leaf(versions.ours_path)),
                                    .theirs = TRY(theirs_.leaf(theirs.path))},
                                   options_.largest);
  if (!merged) {
    const int code = merged.error().code;
    if (code != ENOTSUP && code != EFBIG) return std::unexpected(merged.error());
    return because(std::move(conflict), Reason::binary,
                   fmt::format("both sides changed it: {}", merged.error().message));
  }
  conflict.has_merged = true;
  if (!merged->is_clean) {
    return because(std::move(conflict), Reason::content,
                   merged->is_base_lost
                       ? "both sides changed it, and what it was before is not there any more"
                       : "both sides changed the same lines");
  }
  const auto permissions =
      merged_permissions(theirs.before.mode, versions.ours.mode, theirs.after.mode);
  if (!permissions) {
    return because(
        std::move(conflict), Reason::mode,
        fmt::format("mode {:o} in ours, {:o} in theirs", versions.ours.mode & kPermissions,
                    theirs.after.mode & kPermissions));
  }
  const bool is_there = merged->is_ours && action.path == versions.ours_path &&
                        !action.attributes && *permissions == (versions.ours.mode & kPermissions);
  if (is_there) return Decision{};
  action.mode = S_IFREG | *permissions;
  action.merged = true;
  return Decision{.action = std::move(action)};
}

Decision Decider::deleted_directory(const PathChange& theirs) const {
  const auto found = ours_directories_.find(theirs.from);
  if (found == ours_directories_.end()) return {};
  return because(conflict_of(theirs, theirs.from, found->second->after), Reason::deleted,
                 "its permissions or attributes changed in ours, removed or renamed in theirs");
}

Result<Decision> Decider::directory(const PathChange& theirs) {
  const FileState ours = TRY(ours_.state(theirs.path));
  if (!ours.is_directory()) {
    return because(conflict_of(theirs, "", {}), Reason::deleted,
                   "removed or renamed in ours, its permissions or attributes changed in theirs");
  }
  bool takes_attributes = false;
  Decision clash =
      TRY(attributes({.theirs = theirs, .ours_path = theirs.path, .ours = ours}, takes_attributes));
  if (clash.conflict) return clash;
  const auto permissions = merged_permissions(theirs.before.mode, ours.mode, theirs.after.mode);
  if (!permissions) {
    return because(conflict_of(theirs, theirs.path, ours), Reason::mode,
                   fmt::format("mode {:o} in ours, {:o} in theirs", ours.mode & kPermissions,
                               theirs.after.mode & kPermissions));
  }
  if (!takes_attributes && *permissions == (ours.mode & kPermissions)) return Decision{};
  auto action = action_of(MergeAction::Kind::set_mode, theirs);
  action.attributes = takes_attributes;
  action.mode = S_IFDIR | *permissions;
  action.ours_path = theirs.path;
  action.ours = ours;
  return Decision{.action = std::move(action)};
}

}  // namespace agentfs::compare
