// SPDX-License-Identifier: MIT
#include "kernel/seen_history.h"

namespace agentfs {
namespace {

// Of some of what lies below a directory: the names in it.
std::vector<History::Child> children_of(const std::vector<FileVersionRef>& below,
                                        const std::string& directory) {
  std::map<std::string, bool> names;
  for (const FileVersionRef& version : below) {
    const std::string rest = version->path.substr(directory.size() + 1);
    const auto slash = rest.find('/');
    names[rest.substr(0, slash)] |= slash != std::string::npos;
  }
  std::vector<History::Child> children;
  for (const auto& [name, has_children] : names) children.push_back({name, has_children});
  return children;
}

}  // namespace

std::vector<FileVersionRef> SeenHistory::seen(std::vector<FileVersionRef> versions) const {
  std::erase_if(versions, [&](const FileVersionRef& one) { return !horizon_.sees(*one); });
  return versions;
}

std::vector<FileVersionRef> SeenHistory::versions(const std::string& path) const {
  return seen(history_.versions(path));
}

std::vector<FileVersionRef> SeenHistory::versions_below(const std::string& directory) const {
  return seen(history_.versions_below(directory));
}

std::vector<FileVersionRef> SeenHistory::trashed_at_or_below(const std::string& path) const {
  return seen(history_.trashed_at_or_below(path));
}

std::vector<History::Child> SeenHistory::children(const std::string& directory) const {
  if (sees_all()) return history_.children(directory);
  return children_of(versions_below(directory), directory);
}

std::vector<History::Child> SeenHistory::trash_children(const std::string& directory) const {
  if (sees_all()) return history_.trash_children(directory);
  std::vector<FileVersionRef> below = trashed_at_or_below(directory);
  std::erase_if(below, [&](const FileVersionRef& one) { return one->path == directory; });
  return children_of(below, directory);
}

bool SeenHistory::has_below(const std::string& directory) const {
  return sees_all() ? history_.has_below(directory) : !versions_below(directory).empty();
}

bool SeenHistory::has_trash_below(const std::string& directory) const {
  return sees_all() ? history_.has_trash_below(directory) : !trash_children(directory).empty();
}

}  // namespace agentfs
