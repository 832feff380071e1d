// SPDX-License-Identifier: MIT
#include "kernel/submodules.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "kernel/places.h"
#include "kernel/tracked_paths.h"

namespace agentfs {
namespace {

constexpr std::string_view kGit = ".git";
constexpr off_t kLargestModules = off_t{1} << 20;

// Of a path below a repository.
bool tells_commit(std::string_view path) {
  return path == "HEAD" || path == "packed-refs" || path.starts_with("refs/");
}

bool tells_commit_of_submodule(std::string_view path) {
  constexpr std::string_view kModules = "modules/";
  if (!path.starts_with(kModules)) return false;
  const std::string_view last = text::last_part(path);
  return last == "HEAD" || last == "packed-refs" || path.contains("/refs/");
}

// As git writes it: in quotes where it has to be, with escapes.
std::string value_of(std::string_view text) {
  std::string value;
  bool is_quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      is_quoted = !is_quoted;
    } else if (text[at] == '\\' && at + 1 < text.size()) {
      value += text[++at];
    } else if (!is_quoted && (text[at] == '#' || text[at] == ';')) {
      break;
    } else {
      value += text[at];
    }
  }
  return std::string(text::trim(value));
}

// By its .gitmodules.
Result<std::vector<std::string>> named_in(TreeStore& store, const TreeNode& root) {
  const auto modules = store.lookup(root, ".gitmodules");
  const bool is_there = modules && S_ISREG(modules->attributes.st_mode) &&
                        modules->attributes.st_size <= kLargestModules;
  if (!is_there) return std::vector<std::string>();
  const auto file = TRY(store.open(*modules->node, O_RDONLY, TreeCaller{}));
  return submodules_in(TRY(file::read(file->descriptor())));
}

}  // namespace

std::string noted_change(std::string_view path) {
  const auto parts = text::split(path, '/');
  const auto git = std::ranges::find(parts, kGit);
  if (git == parts.end()) return std::string(path);
  const auto start = static_cast<std::size_t>(git->data() - path.data());
  const std::size_t end = start + kGit.size();
  if (end >= path.size()) return start != 0 ? std::string(path) : std::string();
  const std::string_view below = path.substr(end + 1);
  if (start == 0 && below == "info/exclude") return ".gitignore";
  if (start == 0 && below == "info/attributes") return ".gitattributes";
  if (path == kIndex) return std::string(kIndex);
  if (start != 0) return tells_commit(below) ? std::string(path.substr(0, end)) : std::string();
  return tells_commit_of_submodule(below) ? std::string(kSubmodules) : std::string();
}

std::vector<std::string> submodules_in(std::string_view text) {
  std::vector<std::string> paths;
  for (std::string_view line : text::split(text, '\n')) {
    constexpr std::string_view kEndOfHeader = "\"]";  // what follows in its line counts, too
    const auto header = text::trim(line).starts_with('[') ? line.find(kEndOfHeader) : line.npos;
    if (header != line.npos) line.remove_prefix(header + kEndOfHeader.size());
    const auto equals = line.find('=');
    if (equals == line.npos || text::lower(text::trim(line.substr(0, equals))) != "path") continue;
    std::string path = value_of(text::trim(line.substr(equals + 1)));
    if (is_in_worktree(path)) paths.push_back(std::move(path));
  }
  return paths;
}

Status name_submodules(TreeStore& store, const TreeNodeRef& root,
                       std::vector<std::string>& changed) {
  if (changed.empty()) return ok();
  // Where very many have changed, they are told by the directory at the top.
  const bool are_all = std::erase_if(changed, [](const std::string& path) {
                         return path == kGit || path == kSubmodules;
                       }) != 0;
  auto paths = TRY(named_in(store, *root));
  if (are_all) {
    auto tracked = TrackedPaths::of(store, *root).submodules();
    paths.insert(paths.end(), tracked.begin(), tracked.end());
  }
  std::ranges::sort(paths);
  paths.erase(std::ranges::unique(paths).begin(), paths.end());
  Places places(store, root);
  for (const std::string& path : paths) {
    std::string git = fmt::format("{}/{}", path, kGit);
    const bool is_bare =
        TRY(places.look(path)).st_nlink != 0 && TRY(places.look(git)).st_nlink == 0;
    if (are_all || is_bare) changed.push_back(std::move(git));
  }
  return ok();
}

}  // namespace agentfs
