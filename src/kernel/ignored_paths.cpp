// SPDX-License-Identifier: MIT
#include "kernel/ignored_paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>

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

const IgnoredPaths::Scope& IgnoredPaths::scope(const std::string& root,
                                               const std::string& directory) {
  const std::string path = directory.empty() ? root : fmt::format("{}/{}", root, directory);
  if (const auto known = scopes_.find(path); known != scopes_.end()) return known->second;
  Scope found;
  if (!directory.empty()) {
    found = scope(root, std::string(text::parent_part(directory)));
    found.is_ignored = found.is_ignored || found.rules->is_ignored(directory, true);
  }
  const auto text = found.is_ignored ? fail(ENOENT, "not looked at")
                                     : kernel_.paths().read(Caller::daemon(kernel_),
                                                            path + "/.gitignore", 0, kMostRules);
  if (text || found.rules == nullptr) {
    auto rules = found.rules == nullptr ? GitIgnore() : *found.rules;
    if (text) {
      rules.add(directory, *text);
      found.changed = std::max(found.changed, change_of(path + "/.gitignore"));
    }
    found.rules = std::make_shared<const GitIgnore>(std::move(rules));
  }
  return scopes_.emplace(path, std::move(found)).first->second;
}

}  // namespace agentfs
