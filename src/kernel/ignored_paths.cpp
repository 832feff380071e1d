// SPDX-License-Identifier: MIT
#include "kernel/ignored_paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <ranges>
#include <vector>

#include "base/nanoseconds.h"
#include "base/text.h"
#include "kernel/kernel.h"

namespace agentfs {
namespace {

constexpr std::uint64_t kMostRules = std::uint64_t{1} << 20;  // bytes of a .gitignore

}  // namespace

bool IgnoredPaths::is_ignored(const std::string& path) { return ignoring(path) != nullptr; }

bool IgnoredPaths::was_ignored(const std::string& path, std::int64_t time) {
  const Scope* const scope = ignoring(path);
  return scope != nullptr && scope->changed < time;
}

// A home has no .gitignore to name its caches, which programs of several agents share.
const IgnoredPaths::Scope* IgnoredPaths::ignoring(const std::string& path) {
  static const Scope cache{.is_ignored = true};
  const std::string root(text::first_parts(path, 2));
  if (root.empty() || root == path) return nullptr;
  if (path.starts_with("/home/") && path.contains("/.cache/")) return &cache;
  const std::string below = path.substr(root.size() + 1);
  const Scope& above = scope(root, std::string(text::parent_part(below)));
  return above.is_ignored || above.rules->is_ignored(below, false) ? &above : nullptr;
}

// Not the time of its content, which anybody sets.
std::int64_t IgnoredPaths::change_of(const std::string& file) const {
  struct stat its{};
  const std::string host = kernel_.parts().state + "/trees" + file;
  if (::lstat(host.c_str(), &its) != 0) return std::numeric_limits<std::int64_t>::max();
  return nanoseconds_of(its.st_ctim);
}

// From the top down, and on no stack of calls: agents make directories as deep as they like.
const IgnoredPaths::Scope& IgnoredPaths::scope(const std::string& root,
                                               const std::string& directory) {
  const auto path_of = [&](std::string_view one) {
    return one.empty() ? root : fmt::format("{}/{}", root, one);
  };
  std::vector<std::string_view> unknown;
  std::string_view at = directory;
  while (!scopes_.contains(path_of(at))) {
    unknown.push_back(at);
    if (at.empty()) break;
    at = text::parent_part(at);
  }
  for (const std::string_view one : unknown | std::views::reverse) {
    Scope found;
    if (!one.empty()) {
      found = scopes_.at(path_of(text::parent_part(one)));
      found.is_ignored = found.is_ignored || found.rules->is_ignored(std::string(one), true);
    }
    read_rules(path_of(one), std::string(one), found);
    scopes_.emplace(path_of(one), std::move(found));
  }
  return scopes_.at(path_of(directory));
}

void IgnoredPaths::read_rules(const std::string& path, const std::string& directory, Scope& scope) {
  const std::string file = path + "/.gitignore";
  const auto text = scope.is_ignored
                        ? fail(ENOENT, "not looked at")
                        : kernel_.paths().read(Caller::daemon(kernel_), file, 0, kMostRules);
  if (!text && scope.rules != nullptr) return;
  auto rules = scope.rules == nullptr ? GitIgnore() : *scope.rules;
  if (text) {
    rules.add(directory, *text);
    scope.changed = std::max(scope.changed, change_of(file));
  }
  scope.rules = std::make_shared<const GitIgnore>(std::move(rules));
}

}  // namespace agentfs
