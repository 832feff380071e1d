// SPDX-License-Identifier: MIT
#include "backends/git/changes.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace agentfs::git {
namespace {

Result<Change*> place_of(Change& root, const std::string& path) {
  Change* place = &root;
  for (const std::string_view name : text::split(path, '/')) {
    if (name.empty() || name == ".") continue;
    if (name == ".." || name.find('\0') != name.npos) {
      return fail(EINVAL, "git: {} is no path below the worktree", text::shown(path));
    }
    place = &place->below[std::string(name)];
  }
  return place;
}

// What stands for all below it, and has something in it that is left; and what has something in it
// that is away.
void spread(Change& change) {
  for (auto& [name, below] : change.below) {
    below.whole = below.whole || (change.whole && !below.left);
    below.unignored = below.unignored || (change.unignored && !below.left);
    spread(below);
    change.has_away = change.has_away || below.has_away || below.away != nullptr;
  }
}

// Where it names the commit of a nested repository, "a/b/.git", the directory: looking at that is
// enough.
std::optional<std::string> place_of_repository(const std::string& path) {
  constexpr std::string_view kGit = "/.git";
  if (!path.ends_with(kGit)) return std::nullopt;
  return path.substr(0, path.size() - kGit.size());
}

bool is_inside_git(const std::string& path) {
  const auto names = text::split(path, '/');
  return std::ranges::find(names, ".git") != names.end();
}

}  // namespace

Result<Change> changes_of(const TurnCommit& commit) {
  Change root;
  for (const std::string& path : commit.changed) {
    const auto nested = place_of_repository(path);
    if (nested && !is_inside_git(*nested)) {
      (void)TRY(place_of(root, *nested));
    } else if (!is_inside_git(path)) {
      TRY(place_of(root, path))->whole = true;
    }
  }
  for (const std::string& path : commit.unignored) {
    if (!is_inside_git(path)) TRY(place_of(root, path))->unignored = true;
  }
  for (const std::string& path : commit.left) {
    Change& place = *TRY(place_of(root, path));
    place.left = true;
    place.whole = false;
  }
  for (const std::string& path : commit.ignored) {
    if (!is_inside_git(path)) TRY(place_of(root, path))->ignored = true;
  }
  for (const KnownFile& file : commit.known) {
    if (!is_inside_git(file.path)) TRY(place_of(root, file.path))->known = &file;
  }
  for (const AwayPath& path : commit.away) {
    if (!is_inside_git(path.path)) TRY(place_of(root, path.path))->away = &path;
  }
  spread(root);
  return root;
}

void name_path(Change& root, const std::string& path) {
  const auto is_told = [](const Change& at) { return at.whole || at.left || at.away != nullptr; };
  if (is_told(root)) return;
  Change* place = &root;
  for (const std::string_view name : text::split(path, '/')) {
    place = &place->below[std::string(name)];
    if (is_told(*place)) return;
  }
  place->whole = true;
}

}  // namespace agentfs::git
