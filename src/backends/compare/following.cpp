// SPDX-License-Identifier: MIT
#include "backends/compare/following.h"

#include <set>
#include <unordered_map>
#include <unordered_set>

#include "backends/compare/attributes.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;
using Action = MergeAction::Kind;

class Finder {
 public:
  Finder(const Following& all, Decider& decider) : all_(all), decider_(decider) {}

  Result<Followers> run();

 private:
  void note_touched();
  void touch(std::string_view path);
  Status look_at(const PathChange& change, const DirectoryRename& along, const std::string& there);
  Status look_at_taken(const PathChange& change, const std::string& there, const FileState& taken);
  Status follow(const PathChange& change, const DirectoryRename& along, const std::string& there);

  const Following& all_;
  Decider& decider_;
  Followers found_;
  std::unordered_map<std::string_view, MergeAction*> by_ours_path_;
  std::unordered_set<std::uint64_t> written_;  // inodes of ours that get bytes
  std::unordered_set<std::string> touched_;    // directories below which something is merged
  std::set<std::string, std::less<>>
      settled_;  // new directories that go, or stay, with all in them
};

Result<Followers> Finder::run() {
  note_touched();
  for (const PathChange& change : all_.ours_changes) {
    const bool is_put = change.kind == Kind::added || change.kind == Kind::renamed;
    if (!is_put) continue;
    const std::string path =
        before_outer(change.path, decider_.places().renamed(), all_.theirs_renamed);
    const DirectoryRename* const along = all_.theirs_renamed.of(path);
    if (along == nullptr || lead_into_each_other(*along, decider_.places().renamed())) continue;
    if (innermost_above(settled_, change.path) != settled_.end()) continue;
    TRY(look_at(change, *along, along->follow(path)));
  }
  return std::move(found_);
}

void Finder::note_touched() {
  for (MergeAction* const action : all_.actions) {
    touch(action->path);
    touch(action->ours_path);
    by_ours_path_.emplace(action->ours_path, action);
    if (action->kind == Action::write && action->ours.is_regular()) {
      written_.insert(action->ours.inode);
    }
  }
  for (const PathChange& change : all_.ours_changes) {
    if (change.after.is_regular() && written_.contains(change.after.inode)) touch(change.path);
  }
}

void Finder::touch(std::string_view path) {
  for (auto at = text::parent_part(path); !at.empty(); at = text::parent_part(at)) {
    if (!touched_.emplace(at).second) return;
  }
}

Status Finder::look_at(const PathChange& change, const DirectoryRename& along,
                       const std::string& there) {
  const FileState taken = TRY(decider_.theirs().state(there));
  if (taken.exists()) return look_at_taken(change, there, taken);
  std::string place = TRY(decider_.places().place_of(there));
  const bool is_entered = change.after.is_directory() && touched_.contains(place);
  if (is_entered || touched_.contains(change.path)) {
    found_.left.emplace_back(change.path, std::move(place));
    return ok();
  }
  if (change.after.is_directory()) settled_.insert(change.path);
  return follow(change, along, there);
}

// Where both have a directory that is the same but for what is in it, that goes one by one.
Status Finder::look_at_taken(const PathChange& change, const std::string& there,
                             const FileState& taken) {
  if (!change.after.is_directory()) return ok();
  const bool is_alike = !change.whole && taken.is_directory() &&
                        !modes_differ(change.after, taken) &&
                        attributes_of(TRY(decider_.ours().leaf(change.path))) ==
                            attributes_of(TRY(decider_.theirs().leaf(there)));
  if (is_alike) {
    found_.left.emplace_back(change.path, TRY(decider_.places().place_of(there)));
  } else {
    settled_.insert(change.path);
  }
  return ok();
}

Status Finder::follow(const PathChange& change, const DirectoryRename& along,
                      const std::string& there) {
  const std::string place = TRY(decider_.places().place_of(there));
  const auto decided = by_ours_path_.find(change.path);
  if (decided != by_ours_path_.end()) {
    MergeAction& action = *decided->second;
    if (action.kind == Action::remove || action.path != change.path) return ok();
    action.path = place;
    if (action.kind == Action::set_mode) action.kind = Action::move;
    return ok();
  }
  if (change.after.is_regular() && written_.contains(change.after.inode)) return ok();
  MergeAction action{.kind = Action::move, .path = place, .ours_path = change.path};
  action.ours = TRY(decider_.ours().state(change.path));
  if (!action.ours.exists()) {
    return fail(ESTALE, "{}: gone from ours meanwhile; merge again", text::shown(change.path));
  }
  action.mode = action.ours.mode;
  found_.moves.push_back({.change = &change, .along = &along, .action = std::move(action)});
  return ok();
}

}  // namespace

Result<Followers> find_followers(const Following& all, Decider& decider) {
  return Finder(all, decider).run();
}

}  // namespace agentfs::compare
