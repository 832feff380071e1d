// SPDX-License-Identifier: MIT
#include "backends/compare/plan.h"

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "backends/compare/attributes.h"
#include "backends/compare/databases.h"
#include "backends/compare/decide.h"
#include "backends/compare/following.h"
#include "backends/compare/other_names.h"
#include "backends/compare/renames.h"
#include "backends/compare/walk.h"
#include "base/git_quoted.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;
using Action = MergeAction::Kind;

// Brings the decisions about single files together: names that must become free first, names that
// are taken, directories that must be made or can go. A file that has to stay where it is may take
// the name that another one needs; so this goes in rounds, until no round finds a new conflict.
class Planner {
 public:
  Planner(const MergeSides& sides, const CompareOptions& options)
      : sides_(sides), options_(options) {}

  Result<MergePlan> run();

 private:
  struct Item {
    const PathChange* change = nullptr;  // of theirs, or of ours that goes along with theirs
    MergeAction action{};
    bool is_blocked = false;
    const DirectoryRename* along = nullptr;  // of theirs, which a change of ours follows
  };
  using Paths = std::unordered_set<std::string>;

  Status compare();
  Status expand(const PathChange& whole, std::vector<PathChange>& into);
  Status decide(const PathChange& change);
  Result<Decision> leaf(const PathChange& change);
  Status leave(const PathChange& deleted);
  Status follow();
  Result<bool> round();
  Status empty_directories();
  Result<bool> is_emptied(const std::string& directory);
  Result<std::optional<std::string>> obstacle(const std::string& path);
  Result<std::optional<std::string>> ready_parents(const std::string& path);
  Result<std::optional<std::string>> ready(const std::string& directory);
  void block(Item& item, const std::string& obstacle, const FileState& found);
  void take_along();
  Status finish();
  Status add_directories();
  void note_followed();

  const MergeSides& sides_;
  const CompareOptions& options_;
  std::vector<PathChange> ours_changes_;
  std::vector<PathChange> theirs_changes_;
  DirectoryRenames ours_renamed_;
  DirectoryRenames theirs_renamed_;
  std::optional<Decider> decider_;
  std::optional<Databases> databases_;
  std::vector<Item> items_;
  std::set<std::string> leaving_;               // directories of ours that go once emptied
  std::map<std::string, std::string> as_ours_;  // new directories, and what each is like in ours
  MergePlan plan_;
  // Of the round.
  Paths vacated_;                     // paths of ours that other actions free
  Paths ready_;                       // directories that are there, or will be
  Paths made_;                        // those of them that are to be made
  Paths given_;                       // names that an action has got
  std::vector<std::string> emptied_;  // directories that can go, deepest first
};

Result<MergePlan> Planner::run() {
  TRY(compare());
  for (const PathChange& change : theirs_changes_) TRY(decide(change));
  TRY(follow());
  while (TRY(round())) {
    if (options_.cancelled && options_.cancelled()) return fail(EINTR, "merge: cancelled");
  }
  TRY(finish());
  return std::move(plan_);
}

Status Planner::compare() {
  CompareOptions options = options_;
  if (options.git != CompareOptions::GitDirectories::hidden) {
    options.git = CompareOptions::GitDirectories::line;
  }
  ours_changes_ = TRY(changes_between(sides_.base, sides_.ours, options));
  auto changes = TRY(changes_between(sides_.base, sides_.theirs, options));
  ours_renamed_ = DirectoryRenames(ours_changes_, options_.lasting_inodes);
  theirs_renamed_ = DirectoryRenames(changes, options_.lasting_inodes);
  TRY(find_empty_renames(ours_changes_, ours_renamed_, sides_.base, sides_.ours, options));
  TRY(find_empty_renames(changes, theirs_renamed_, sides_.base, sides_.theirs, options));
  decider_.emplace(sides_, Decider::Known{ours_changes_, ours_renamed_, theirs_renamed_}, options_);
  databases_.emplace(sides_, ours_changes_);
  for (PathChange& change : changes) {
    if (!change.whole) {
      theirs_changes_.push_back(std::move(change));
      continue;
    }
    // A repository that came or went, and that ours has not touched, is files like any other.
    const bool is_added = change.kind == Kind::added;
    const bool is_taken =
        is_added &&
        TRY(decider_->ours().state(TRY(decider_->places().place_of(change.path)))).exists();
    const bool is_touched = decider_->ours_change_of(change.path) != nullptr;
    if (change.kind == Kind::modified || is_taken || is_touched) {
      plan_.notes.push_back(
          fmt::format("{}: left as ours has it; a repository is not merged as "
                      "files, pull from theirs",
                      git_quoted(change.path)));
      continue;
    }
    TRY(expand(change, theirs_changes_));
  }
  sort_by_path(theirs_changes_);
  return ok();
}

Status Planner::expand(const PathChange& whole, std::vector<PathChange>& into) {
  const bool is_added = whole.kind == Kind::added;
  PathChange top = whole;
  top.whole = false;
  into.push_back(std::move(top));
  if (!(is_added ? whole.after : whole.before).is_directory()) return ok();
  const TreeSide& side = is_added ? sides_.theirs : sides_.base;
  PathFinder finder(side);
  const auto found = TRY(finder.leaf(whole.path));
  Walk walk{.path = whole.path};
  (is_added ? walk.after : walk.before) = TreeSide{side.store, found.entry.node};
  CompareOptions options = options_;
  options.git = CompareOptions::GitDirectories::inside;
  auto below = TRY(differences(walk, options));
  std::ranges::move(below, std::back_inserter(into));
  return ok();
}

Status Planner::decide(const PathChange& change) {
  Decision decision;
  const bool is_directory = (change.after.exists() ? change.after : change.before).is_directory();
  if (!is_directory) {
    decision = TRY(leaf(change));
  } else if (change.kind == Kind::deleted) {
    decision = decider_->deleted_directory(change);
    if (!decision.conflict) TRY(leave(change));
  } else if (change.kind == Kind::added) {
    decision = TRY(decider_->added_directory(change));
  } else {
    decision = TRY(decider_->directory(change));
  }
  if (decision.conflict) plan_.conflicts.push_back(std::move(*decision.conflict));
  if (decision.action) items_.push_back({&change, std::move(*decision.action)});
  return ok();
}

Result<Decision> Planner::leaf(const PathChange& change) {
  if (!databases_->may_be_apart(change)) return decider_->leaf(change);
  const std::string place = TRY(decider_->places().place_of(change.path));
  const auto other = TRY(databases_->changed_in_ours(change, place));
  if (!other) return decider_->leaf(change);
  MergeConflict conflict = conflict_of(change, place, TRY(decider_->ours().state(place)));
  conflict.reason = MergeConflict::Reason::binary;
  conflict.sentence = fmt::format("changed in theirs, and {} in ours: both are of one database",
                                  git_quoted(*other));
  return Decision{.conflict = std::move(conflict)};
}

// Below one that ours has renamed it goes where it is as it was.
Status Planner::leave(const PathChange& deleted) {
  const std::string place = TRY(decider_->places().place_of(deleted.path));
  if (place != deleted.path) {
    const FileState ours = TRY(decider_->ours().state(place));
    if (!ours.is_directory() || modes_differ(ours, deleted.before)) return ok();
    const auto base = TRY(PathFinder(sides_.base).leaf(deleted.path));
    if (attributes_of(base) != attributes_of(TRY(decider_->ours().leaf(place)))) return ok();
  }
  leaving_.insert(place);
  return ok();
}

Status Planner::follow() {
  if (theirs_renamed_.empty()) return ok();
  Following all{ours_changes_, theirs_renamed_, {}};
  for (Item& item : items_) all.actions.push_back(&item.action);
  Followers followers = TRY(find_followers(all, *decider_));
  for (Follower& one : followers.moves) {
    items_.push_back({.change = one.change, .action = std::move(one.action), .along = one.along});
  }
  for (auto& [path, place] : followers.left) {
    leaving_.insert(path);
    as_ours_.emplace(std::move(place), path);
  }
  return ok();
}

// Whether a new conflict was found, which makes what was found before it doubtful.
Result<bool> Planner::round() {
  vacated_.clear();
  ready_ = {std::string()};
  made_.clear();
  given_.clear();
  for (const Item& item : items_) {
    const MergeAction& action = item.action;
    if (item.is_blocked || action.ours_path.empty()) continue;
    if (action.kind == Action::remove || action.path != action.ours_path) {
      vacated_.insert(action.ours_path);
    }
  }
  TRY(empty_directories());
  bool found = false;
  for (Item& item : items_) {
    const MergeAction& action = item.action;
    const bool makes_directory = action.kind == Action::make_directory;
    if (item.is_blocked || action.kind == Action::remove || action.path == action.ours_path) {
      continue;
    }
    auto in_the_way = TRY(ready_parents(action.path));
    if (!in_the_way) in_the_way = TRY(makes_directory ? ready(action.path) : obstacle(action.path));
    if (!in_the_way && !given_.insert(action.path).second) in_the_way = action.path;
    if (!in_the_way) continue;
    block(item, *in_the_way, TRY(decider_->ours().state(*in_the_way)));
    found = true;
  }
  return found;
}

// From the deepest up, so that a directory in which only emptied ones are left goes too.
Status Planner::empty_directories() {
  emptied_.clear();
  for (const std::string& path : leaving_ | std::views::reverse) {
    if (!TRY(is_emptied(path))) continue;
    vacated_.insert(path);
    emptied_.push_back(path);
  }
  return ok();
}

Result<bool> Planner::is_emptied(const std::string& directory) {
  const auto found = TRY(decider_->ours().find(directory));
  if (!found || found->node->type() != S_IFDIR) return false;
  for (const std::string& name : TRY(names_of(decider_->ours().store(), *found->node))) {
    if (!vacated_.contains(fmt::format("{}/{}", directory, name))) return false;
  }
  return true;
}

// What keeps a name from being given away: `path` itself where ours has something there.
Result<std::optional<std::string>> Planner::obstacle(const std::string& path) {
  if (made_.contains(path)) return path;
  const FileState found = TRY(decider_->ours().state(path));
  if (found.exists() && !vacated_.contains(path)) return path;
  return std::nullopt;
}

// Sees to the directories above a path; what is in the way where one cannot be.
Result<std::optional<std::string>> Planner::ready_parents(const std::string& path) {
  std::vector<std::string> above;
  for (std::string_view at = text::parent_part(path); !ready_.contains(std::string(at));
       at = text::parent_part(at)) {
    above.emplace_back(at);
  }
  for (auto at = above.rbegin(); at != above.rend(); ++at) {
    auto in_the_way = TRY(ready(*at));
    if (in_the_way) return in_the_way;
  }
  return std::nullopt;
}

// Sees to one directory, whose parents are; one that was to go and is needed stays.
Result<std::optional<std::string>> Planner::ready(const std::string& directory) {
  if (given_.contains(directory)) return directory;
  const FileState found = TRY(decider_->ours().state(directory));
  const bool was_vacated = vacated_.contains(directory);
  if (found.is_directory()) {
    if (was_vacated) std::erase(emptied_, directory);
    vacated_.erase(directory);
  } else if (found.exists() && !was_vacated) {
    return directory;
  } else {
    made_.insert(directory);
  }
  ready_.insert(directory);
  return std::nullopt;
}

// An added directory is told only where it is empty: its files tell of the others. What of ours
// cannot go along stays where it is.
void Planner::block(Item& item, const std::string& obstacle, const FileState& found) {
  item.is_blocked = true;
  const MergeAction& action = item.action;
  if (item.along != nullptr) return;
  if (action.kind == Action::make_directory && !item.change->empty) return;
  const bool was_there = !action.ours_path.empty();
  MergeConflict conflict = conflict_of(*item.change, was_there ? action.ours_path : obstacle,
                                       was_there ? action.ours : found);
  if (!was_there) conflict.path = action.path;
  const bool is_above = obstacle != action.path;
  const bool is_renamed = item.change->kind == Kind::renamed;
  conflict.reason = is_renamed && !is_above && !found.is_directory()
                        ? MergeConflict::Reason::renamed
                        : MergeConflict::Reason::type;
  conflict.sentence =
      fmt::format("{} in theirs to {}, where ours has a {}", is_renamed ? "renamed" : "added",
                  text::shown(action.path),
                  is_above ? fmt::format("file in place of the directory {}", text::shown(obstacle))
                  : found.is_directory() ? "directory that does not go away"
                                         : "file");
  plan_.conflicts.push_back(std::move(conflict));
}

void Planner::take_along() {
  std::vector<const MergeAction*> actions;
  actions.reserve(items_.size());
  for (const Item& item : items_) actions.push_back(item.is_blocked ? nullptr : &item.action);
  for (OtherName& name : other_names(actions, ours_changes_, theirs_changes_)) {
    Item other = items_[name.action];
    other.action.path = other.action.ours_path = std::move(name.path);
    items_.push_back(std::move(other));
  }
}

Status Planner::finish() {
  take_along();
  TRY(add_directories());
  note_followed();
  for (Item& item : items_) {
    if (item.is_blocked || item.action.kind == Action::make_directory) continue;
    plan_.actions.push_back(std::move(item.action));
  }
  for (const std::string& path : emptied_) {
    MergeAction action{.kind = Action::remove_directory, .path = path, .ours_path = path};
    action.ours = TRY(decider_->ours().state(path));
    plan_.actions.push_back(std::move(action));
  }
  std::ranges::sort(plan_.conflicts, {}, &MergeConflict::path);
  return ok();
}

// Those that theirs added, and those that ours no longer has and a file of theirs needs.
Status Planner::add_directories() {
  std::vector<std::string> made(made_.begin(), made_.end());
  std::ranges::sort(made);
  for (std::string& path : made) {
    MergeAction action{.kind = Action::make_directory, .mode = S_IFDIR | 0755};
    action.theirs_path = TRY(decider_->places().directory_for(path));
    if (!action.theirs_path.empty()) {
      action.theirs = TRY(decider_->theirs().state(action.theirs_path));
      action.mode = action.theirs.mode;
    } else if (const auto like = as_ours_.find(path); like != as_ours_.end()) {
      action.ours_path = like->second;
      action.ours = TRY(decider_->ours().state(action.ours_path));
      action.mode = action.ours.mode;
    }
    action.path = std::move(path);
    plan_.actions.push_back(std::move(action));
  }
  return ok();
}

// Of each directory once.
void Planner::note_followed() {
  std::map<std::string, std::string> notes;  // by the directory that was renamed
  const auto note = [&](const DirectoryRename& renamed, std::string_view by,
                        std::string_view what) {
    notes.try_emplace(renamed.from,
                      fmt::format("{}: renamed to {} in {}; what {} has put there goes along",
                                  git_quoted(renamed.from), git_quoted(renamed.to), by, what));
  };
  for (const Item& item : items_) {
    if (item.is_blocked) continue;
    if (item.along != nullptr) note(*item.along, "theirs", "ours");
    const auto* const renamed = ours_renamed_.of(item.change->path);
    const bool follows = item.along == nullptr && renamed != nullptr &&
                         item.action.path == renamed->follow(item.change->path);
    if (follows) note(*renamed, "ours", "theirs");
  }
  for (auto& [from, sentence] : notes) plan_.notes.push_back(std::move(sentence));
}

}  // namespace

Result<MergePlan> plan_merge(const MergeSides& sides, const CompareOptions& options) {
  MergePlan plan = TRY(Planner(sides, options).run());
  TRY(note_attributes(plan.conflicts, sides.theirs));
  return plan;
}

}  // namespace agentfs::compare
