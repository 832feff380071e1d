// SPDX-License-Identifier: MIT
#include "kernel/unignored.h"

#include <sys/stat.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "kernel/gitignore.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// A directory as it was in one of the two states; null where there was none.
class Side {
 public:
  Side(TreeStore& store, TreeNodeRef root) : store_(store), root_(std::move(root)) {}

  const TreeNodeRef& root() const { return root_; }
  // A directory after those above it.
  void enter(const TreeNodeRef& directory, const std::string& path) {
    if (directory == nullptr) return;
    if (path.empty()) add(directory, path, ".git/info/exclude");
    add(directory, path, ".gitignore");
  }
  bool ignores(const std::string& path, bool is_directory) const {
    return rules_.is_ignored(path, is_directory);
  }
  TreeNodeRef below(const TreeNodeRef& directory, std::string_view name) const {
    if (directory == nullptr) return nullptr;
    const auto found = store_.lookup(*directory, std::string(name));
    return found && S_ISDIR(found->attributes.st_mode) ? found->node : nullptr;
  }

 private:
  // Those that cannot be read, as by an ordinary user's daemon, are none.
  void add(const TreeNodeRef& directory, const std::string& path, std::string_view name) {
    if (const auto text = read_rules(store_, directory, name)) rules_.add(path, *text);
  }

  TreeStore& store_;
  TreeNodeRef root_;
  GitIgnore rules_;
};

struct Place {
  TreeNodeRef before{};
  TreeNodeRef now{};
  std::string path{};
};

class Search {
 public:
  Search(TreeStore& store, const TreeNodeRef& before, const TreeNodeRef& now,
         std::set<std::string>& found)
      : store_(store), before_(store, before), now_(store, now), found_(found) {}

  Status run(const std::string& directory) {
    const auto top = go_to(directory);
    if (!top) return ok();
    std::vector<Place> left{*top};
    while (!left.empty()) {
      const Place place = std::move(left.back());
      left.pop_back();
      for (const std::string& name : TRY(directories_to_look_into(place))) {
        Place below = below_of(place, name);
        const bool is_nested = below.now == nullptr || store_.lookup(*below.now, ".git");
        if (is_nested) continue;
        enter(below);
        left.push_back(std::move(below));
      }
    }
    return ok();
  }

 private:
  void enter(const Place& place) {
    before_.enter(place.before, place.path);
    now_.enter(place.now, place.path);
  }
  Place below_of(const Place& place, const std::string& name) const {
    return {.before = before_.below(place.before, name),
            .now = now_.below(place.now, name),
            .path = path_in(place.path, name)};
  }
  // Whether a name is in now and was not: then it is found.
  bool is_found(const std::string& path, bool is_directory) {
    if (!before_.ignores(path, is_directory)) return false;
    found_.insert(path);
    return true;
  }
  // Nothing where all of it is ignored, or found.
  std::optional<Place> go_to(const std::string& directory) {
    Place place{.before = before_.root(), .now = now_.root(), .path = {}};
    enter(place);
    for (const std::string_view part : text::split(directory, '/')) {
      if (part.empty()) continue;
      place = below_of(place, std::string(part));
      if (place.now == nullptr || now_.ignores(place.path, true)) return std::nullopt;
      if (is_found(place.path, true)) return std::nullopt;
      enter(place);
    }
    return place;
  }
  Result<std::vector<std::string>> directories_to_look_into(const Place& place) {
    std::vector<std::string> directories;
    const auto opened = store_.open_directory(*place.now);
    if (!opened && opened.error().code == EACCES) return directories;
    if (!opened) return std::unexpected(opened.error());
    TRY(store_.read_directory(**opened, 0, [&](const TreeStore::DirectoryEntry& entry) {
      if (entry.name == "." || entry.name == ".." || entry.name == ".git") return true;
      const bool is_directory = entry.type == S_IFDIR;
      const std::string path = path_in(place.path, entry.name);
      if (now_.ignores(path, is_directory) || is_found(path, is_directory)) return true;
      if (is_directory) directories.push_back(entry.name);
      return true;
    }));
    return directories;
  }

  TreeStore& store_;
  Side before_;
  Side now_;
  std::set<std::string>& found_;
};

}  // namespace

Status find_unignored(TreeStore& store, const TreeNodeRef& before, const TreeNodeRef& now,
                      const std::string& directory, std::set<std::string>& found) {
  return Search(store, before, now, found).run(directory);
}

}  // namespace agentfs
