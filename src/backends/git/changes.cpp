// SPDX-License-Identifier: MIT
#include "backends/git/changes.h"

#include <algorithm>

#include "base/text.h"

namespace agentfs::git {
namespace {

Status add(Change& root, const std::string& path) {
  Change* place = &root;
  for (const std::string_view name : text::split(path, '/')) {
    if (name.empty() || name == ".") continue;
    if (name == ".." || name.find('\0') != name.npos) {
      return fail(EINVAL, "git: {} is no path below the worktree", text::shown(path));
    }
    place = &place->below[std::string(name)];
  }
  place->whole = true;
  return ok();
}

bool is_inside_git(const std::string& path) {
  const auto names = text::split(path, '/');
  return std::ranges::find(names, ".git") != names.end();
}

}  // namespace

Result<Change> changes_of(const std::vector<std::string>& paths) {
  Change root;
  for (const std::string& path : paths) {
    if (!is_inside_git(path)) TRY(add(root, path));
  }
  return root;
}

}  // namespace agentfs::git
