// SPDX-License-Identifier: MIT
#include "backends/compare/directory_renames.h"

#include <algorithm>
#include <unordered_map>

#include "backends/compare/attributes.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;

bool is_gone_directory(const PathChange& change) {
  return change.kind == Kind::deleted && change.before.is_directory() && !change.whole;
}

// How many files have left a directory, and for which.
struct Leaving {
  std::size_t files = 0;
  std::map<std::string, std::size_t, std::less<>> to{};
};
using Leavings = std::map<std::string, Leaving, std::less<>>;

// Of a/b/c that has become d/b/e: a/b has gone to d/b, and a to d.
void note_rename(const PathChange& change, Leavings& leavings) {
  std::string_view from = text::parent_part(change.from);
  std::string_view to = text::parent_part(change.path);
  for (bool is_same_below = true; !from.empty();) {
    if (const auto found = leavings.find(from); found != leavings.end()) {
      ++found->second.files;
      if (is_same_below && !to.empty() && from != to) ++found->second.to[std::string(to)];
    }
    is_same_below = is_same_below && text::last_part(from) == text::last_part(to);
    from = text::parent_part(from);
    to = text::parent_part(to);
  }
}

// What a directory was before it was renamed; "": it was not.
std::string gone_as(std::string_view directory, const DirectoryRenames& renamed) {
  const DirectoryRename* const back = renamed.back(directory);
  return back == nullptr ? std::string() : back->to;
}

// What it was where no more than one above it was renamed; "": none was.
std::string gone_along(std::string_view directory, const DirectoryRenames& renamed) {
  const DirectoryRename* const back = renamed.to(directory);
  return back == nullptr ? std::string() : back->follow(directory);
}

}  // namespace

DirectoryRenames::DirectoryRenames(const std::vector<PathChange>& changes, bool lasting_inodes) {
  if (std::ranges::none_of(changes, is_gone_directory)) return;
  if (lasting_inodes) add_by_inode(changes);
  add_by_files(changes);
}

const DirectoryRename* DirectoryRenames::find(const Names& names, std::string_view path) {
  if (names.empty()) return nullptr;
  const auto found = innermost_above(names, path);
  return found == names.end() ? nullptr : &found->second;
}

void DirectoryRenames::add(const std::string& from, const std::string& to) {
  const bool is_new = by_from_.try_emplace(from, DirectoryRename{from, to}).second;
  if (is_new) by_to_.try_emplace(to, DirectoryRename{to, from});
}

void DirectoryRenames::add_by_inode(const std::vector<PathChange>& changes) {
  std::unordered_map<std::uint32_t, const PathChange*> made;
  for (const PathChange& change : changes) {
    const bool is_made = change.kind == Kind::added && change.after.is_directory() && !change.whole;
    if (is_made) made.emplace(static_cast<std::uint32_t>(change.after.inode), &change);
  }
  for (const PathChange& change : changes) {
    if (!is_gone_directory(change)) continue;
    const auto found = made.find(static_cast<std::uint32_t>(change.before.inode));
    if (found == made.end() || found->second->after.device != change.before.device) continue;
    add(change.path, found->second->path);
  }
}

void DirectoryRenames::add_by_files(const std::vector<PathChange>& changes) {
  Leavings leavings;
  for (const PathChange& change : changes) {
    if (is_gone_directory(change) && !by_from_.contains(change.path)) leavings[change.path];
  }
  if (leavings.empty()) return;
  for (const PathChange& change : changes) {
    if (change.kind == Kind::renamed) note_rename(change, leavings);
    if (change.kind != Kind::deleted || change.before.is_directory()) continue;
    // No bytes tell where an empty file has gone: it speaks for no name, and against none.
    if (change.before.is_regular() && change.before.size == 0) continue;
    for (auto at = text::parent_part(change.path); !at.empty(); at = text::parent_part(at)) {
      if (const auto found = leavings.find(at); found != leavings.end()) ++found->second.files;
    }
  }
  for (auto& [from, leaving] : leavings) {
    const auto most =
        std::ranges::max_element(leaving.to, {}, [](const auto& target) { return target.second; });
    if (most == leaving.to.end() || most->second * 2 <= leaving.files) continue;
    add(from, most->first);
  }
}

const DirectoryRename* DirectoryRenames::made_of(std::string_view path) const {
  const DirectoryRename* renamed = of(path);
  if (renamed == nullptr) return nullptr;
  for (const auto* above = of(renamed->from);
       above != nullptr && above->follow(renamed->from) == renamed->to; above = of(above->from)) {
    renamed = above;
  }
  return renamed;
}

const DirectoryRename* DirectoryRenames::back(std::string_view directory) const {
  const auto found = by_to_.find(directory);
  return found == by_to_.end() ? nullptr : &found->second;
}

bool DirectoryRenames::take(std::string_view from, std::string_view to) const {
  const DirectoryRename* const renamed = of(from);
  return renamed != nullptr && renamed->follow(from) == to;
}

std::string before_outer(const std::string& path, const DirectoryRenames& own,
                         const DirectoryRenames& other) {
  const DirectoryRename* const back = own.to(path);
  if (back == nullptr) return path;
  std::string was = back->follow(path);
  const DirectoryRename* const outer = own.made_of(was);
  const DirectoryRename* const inner = other.made_of(was);
  const bool is_inner =
      outer != nullptr && inner != nullptr && inner->from.size() > outer->from.size();
  return is_inner ? was : path;
}

std::string place_by(const std::string& path, const DirectoryRenames& own,
                     const DirectoryRenames& other) {
  const std::string was = before_outer(path, own, other);
  const DirectoryRename* const renamed = other.of(was);
  if (renamed == nullptr) return path;
  std::string place = renamed->follow(was);
  // What the other side has put into a directory goes along with that, but not back to where it
  // was.
  const DirectoryRename* const outer = own.of(place);
  const bool is_back = outer != nullptr && text::is_in(outer->to, renamed->from);
  return outer == nullptr || is_back ? place : outer->follow(place);
}

std::optional<std::string> place_of(const TwoNames& names, const DirectoryRenames& ours,
                                    const DirectoryRenames& theirs) {
  bool is_along_ours = ours.take(names.base, names.ours);
  const bool is_along_theirs = theirs.take(names.base, names.theirs);
  if (is_along_ours && is_along_theirs) {
    const auto depth = ours.made_of(names.base)->from.size();
    const auto its_depth = theirs.made_of(names.base)->from.size();
    if (depth == its_depth) return std::nullopt;
    is_along_ours = depth < its_depth;
  } else if (!is_along_ours && !is_along_theirs) {
    return std::nullopt;
  }
  return is_along_ours ? place_by(std::string(names.theirs), theirs, ours)
                       : place_by(std::string(names.ours), ours, theirs);
}

bool lead_into_each_other(const DirectoryRename& one, const DirectoryRenames& other) {
  const DirectoryRename* const back = other.of(one.to);
  return back != nullptr && text::is_below(back->to, one.from);
}

Result<bool> is_brought_by_files(const PathChange& made, const DirectoryRenames& theirs_renamed,
                                 const ThreeFinders& in) {
  const std::string was =
      made.empty ? gone_along(made.path, theirs_renamed) : gone_as(made.path, theirs_renamed);
  if (was.empty() || TRY(in.ours.state(was)).exists()) return false;
  const auto before = TRY(in.base.find(was));
  const bool is_it = before && before->node->type() == S_IFDIR &&
                     !modes_differ(state_of(*before), made.after) &&
                     !TRY(in.theirs.state(was)).is_directory();
  if (!is_it) return false;
  return attributes_of({&in.base.store(), *before}) ==
         attributes_of(TRY(in.theirs.leaf(made.path)));
}

Result<std::string> RenamedPlaces::place_of(const std::string& path) {
  std::string place = place_by(path, others_, renamed_);
  if (place == path) return path;
  return TRY(other_.state(place)).exists() ? path : place;
}

Result<std::string> RenamedPlaces::directory_for(const std::string& place) {
  if (TRY(other_.state(place)).is_directory()) return place;
  const DirectoryRename* const renamed = renamed_.to(place);
  if (renamed == nullptr) return std::string();
  std::string path = renamed->follow(place);
  return TRY(other_.state(path)).is_directory() ? path : std::string();
}

}  // namespace agentfs::compare
