// SPDX-License-Identifier: MIT
#include "kernel/paths.h"

#include <vector>

#include "base/text.h"

namespace agentfs::paths {

std::string normalise(std::string_view path, std::string_view cwd) {
  std::vector<std::string_view> kept;
  const auto take = [&](std::string_view some) {
    for (const std::string_view part : text::split(some, '/')) {
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        kept.push_back(part);
      } else if (!kept.empty()) {
        kept.pop_back();
      }
    }
  };
  if (!path.starts_with('/')) take(cwd);
  take(path);
  std::string result;
  for (const std::string_view part : kept) result.append("/").append(part);
  return result.empty() ? "/" : result;
}

std::optional<std::string> workspace_of(std::string_view path) {
  constexpr std::string_view kRoot = "/workspaces/";
  if (!path.starts_with(kRoot) || path.size() == kRoot.size()) return std::nullopt;
  path.remove_prefix(kRoot.size());
  return std::string(path.substr(0, path.find('/')));
}

bool is_whole_tree(std::string_view path) {
  return !path.empty() && text::first_parts(path, 2) == path;
}

std::string name_of(std::string_view root) { return std::string(text::last_part(root)); }

std::string top_of(std::string_view root) { return std::string(text::parent_part(root)); }

bool is_data(std::string_view path) {
  return text::is_in(path, "/home") || text::is_in(path, "/workspaces") ||
         text::is_in(path, "/tmp") || text::is_in(path, "/src/repos");
}

bool is_in_repository(std::string_view path) { return path.contains("/.git/"); }

bool is_context_name(std::string_view name) {
  constexpr std::size_t kLongest = 128;
  return name.ends_with(".md") && name.size() > 3 && name.size() <= kLongest && name[0] != '.' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789._-") == std::string_view::npos;
}

}  // namespace agentfs::paths
