// SPDX-License-Identifier: MIT
#include "world.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace agentfs::test {
namespace {

constexpr std::size_t kMostTrees = 6;
constexpr std::size_t kMostStates = 6;
constexpr std::size_t kMostOpen = 6;
constexpr std::size_t kDeepest = 4;  // the tree included

bool is_file(const ModelFile& file) { return file.type == S_IFREG; }
bool is_directory(const ModelFile& file) { return file.is_directory(); }
bool is_no_directory(const ModelFile& file) { return !file.is_directory(); }
bool is_anything(const ModelFile&) { return true; }
bool bears_attributes(const ModelFile& file) { return is_file(file) || is_directory(file); }

using Kind = Operation::Kind;

const char* const kKinds[] = {
    "create",     "mkdir",       "symlink",    "fifo",         "link",     "unlink",
    "rmdir",      "rename",      "exchange",   "write",        "truncate", "cut",
    "chmod",      "utimens",     "set_xattr",  "remove_xattr", "open",     "write_open",
    "close_open", "fork",        "fork_state", "snapshot",     "rollback", "drop_tree",
    "drop_state", "rename_tree", "collect",    "solidify",     "remount",
};

void collect_paths(const ModelRef& file, std::vector<std::string>& path,
                   bool (*wanted)(const ModelFile&), std::vector<std::vector<std::string>>& paths) {
  if (wanted(*file)) paths.push_back(path);
  for (const auto& [name, entry] : file->entries) {
    path.push_back(name);
    collect_paths(entry, path, wanted, paths);
    path.pop_back();
  }
}

bool contains(const ModelRef& root, const ModelFile* file) {
  if (root.get() == file) return true;
  for (const auto& [name, entry] : root->entries) {
    if (contains(entry, file)) return true;
  }
  return false;
}

}  // namespace

ModelRef copy_tree(const ModelRef& file, Copies& copies) {
  ModelRef& copy = copies[file.get()];
  if (copy) return copy;
  copy = std::make_shared<ModelFile>(*file);
  const ModelRef made = copy;
  for (auto& [name, entry] : made->entries) entry = copy_tree(entry, copies);
  return made;
}

std::string Operation::shown() const {
  return fmt::format("{} {} {} {:?} {} {}{}", kKinds[static_cast<int>(kind)], fmt::join(path, "/"),
                     fmt::join(other, "/"), text, number, index, stale ? " refused" : "");
}

World::World(unsigned seed) : random_(seed) {
  for (const char* name : {"p", "q"}) {
    auto root = std::make_shared<ModelFile>();
    root->type = S_IFDIR;
    root->mode = 0755;
    trees_[name] = root;
  }
}

std::string World::new_tree() { return fmt::format("t{}", next_tree_++); }

std::size_t World::pick(std::size_t below) { return random_() % below; }

ModelRef World::at(const Path& path) const {
  const auto root = trees_.find(path.front());
  ModelRef file = root == trees_.end() ? nullptr : root->second;
  for (std::size_t i = 1; file && i < path.size(); ++i) {
    const auto found = file->entries.find(path[i]);
    file = found == file->entries.end() ? nullptr : found->second;
  }
  return file;
}

ModelRef World::parent(const Path& path) const { return at(Path(path.begin(), path.end() - 1)); }

std::optional<World::Path> World::any(bool (*wanted)(const ModelFile&)) {
  std::vector<Path> paths;
  for (const auto& [name, root] : trees_) {
    Path path{name};
    collect_paths(root, path, wanted, paths);
  }
  if (paths.empty()) return std::nullopt;
  return paths[pick(paths.size())];
}

std::optional<World::Path> World::free_place() {
  auto path = any(is_directory);
  if (!path || path->size() >= kDeepest) return std::nullopt;
  path->push_back(std::string(1, static_cast<char>('a' + pick(5))));
  if (at(*path)) return std::nullopt;
  return path;
}

void World::touch(ModelFile& file, bool content) {
  if (!file.seen) return;
  file.seen->changed.reset();
  if (content) file.seen->modified.reset();
}

void World::put(const Path& path, ModelRef file) {
  const ModelRef above = parent(path);
  above->entries[path.back()] = std::move(file);
  touch(*above, true);
}

void World::take(const Path& path) {
  const ModelRef above = parent(path);
  touch(*above->entries[path.back()], false);
  above->entries.erase(path.back());
  touch(*above, true);
}

Operation World::step() {
  for (;;) {
    if (auto operation = choose()) return *operation;
  }
}

std::optional<Operation> World::choose() {
  const std::size_t kind = pick(100);
  const std::size_t which = pick(100);
  if (kind < 40) return choose_entry(which);
  if (kind < 65) return choose_change(which);
  if (kind < 83) return choose_open(which);
  return choose_tree(which);
}

// --- entries

std::optional<Operation> World::make(Kind kind, mode_t type) {
  const auto path = free_place();
  if (!path) return std::nullopt;
  auto file = std::make_shared<ModelFile>();
  file->type = type;
  file->mode = type == S_IFDIR ? 0755 : type == S_IFLNK ? 0777 : 0644;
  Operation operation{.kind = kind, .path = *path};
  if (type == S_IFLNK) file->content = operation.text = std::string(1 + pick(3), 'l');
  put(*path, std::move(file));
  return operation;
}

std::optional<Operation> World::choose_entry(std::size_t which) {
  if (which < 22) return make(Kind::create, S_IFREG);
  if (which < 36) return make(Kind::mkdir, S_IFDIR);
  if (which < 41) return make(Kind::symlink, S_IFLNK);
  if (which < 43) return make(Kind::fifo, S_IFIFO);
  if (which < 66) return rename();
  if (which < 86) return remove();
  const auto from = any(is_no_directory);
  const auto to = free_place();
  if (!from || !to) return std::nullopt;
  Operation operation{.kind = Kind::link, .path = *from, .other = *to};
  if (from->front() != to->front()) return std::nullopt;
  const ModelRef file = at(*from);
  touch(*file, false);
  put(*to, file);
  return operation;
}

std::optional<Operation> World::remove() {
  const auto path = any(is_anything);
  if (!path || path->size() < 2) return std::nullopt;
  const ModelRef file = at(*path);
  Operation operation{.kind = file->is_directory() ? Kind::rmdir : Kind::unlink, .path = *path};
  operation.stale = file->is_directory() && !file->entries.empty();
  if (!operation.stale) {
    take(*path);
  } else {
    touch(*file, false);
    touch(*parent(*path), false);
  }
  return operation;
}

std::optional<Operation> World::rename() {
  const auto from = any(is_anything);
  auto to = chance(50) ? any(is_anything) : free_place();
  if (!from || !to || from->size() < 2 || to->size() < 2) return std::nullopt;
  if (from->front() != to->front()) return std::nullopt;
  const ModelRef file = at(*from);
  const ModelRef other = at(*to);
  const bool exchange = other && chance(40);
  if (file == other || contains(file, parent(*to).get())) return std::nullopt;
  if (other && contains(other, parent(*from).get())) return std::nullopt;
  if (other && !exchange) {
    if (other->is_directory() != file->is_directory()) return std::nullopt;
  }
  Operation operation{
      .kind = exchange ? Kind::exchange : Kind::rename, .path = *from, .other = *to};
  operation.stale = other && !exchange && !other->entries.empty();
  if (operation.stale) {
    // What is refused may have been made ready for it already.
    for (const ModelRef& directory : {other, parent(*from), parent(*to)}) touch(*directory, false);
    return operation;
  }
  if (other) take(*to);
  take(*from);
  put(*to, file);
  if (exchange) put(*from, other);
  return operation;
}

// --- files

std::optional<Operation> World::choose_change(std::size_t which) {
  const bool content = which < 60;
  const bool attribute = which >= 84;
  const auto path = any(content ? is_file : attribute ? bears_attributes : is_no_directory);
  if (!path) return std::nullopt;
  ModelFile& file = *at(*path);
  Operation operation{.path = *path, .number = pick(20)};
  touch(file, content);
  if (which < 30) {
    operation.kind = Kind::write;
    operation.text = std::string(1 + pick(12), static_cast<char>('A' + pick(26)));
    file.content.resize(std::max(file.content.size(), operation.number + operation.text.size()));
    file.content.replace(operation.number, operation.text.size(), operation.text);
  } else if (which < 45) {
    operation.kind = Kind::truncate;
    operation.number = pick(3) * 7;
    file.content.resize(operation.number);
  } else if (which < 60) {
    operation.kind = Kind::cut;
    file.content.clear();
  } else if (which < 74) {
    if (file.type == S_IFLNK) return std::nullopt;
    operation.kind = Kind::chmod;
    operation.number = 0600 + pick(64);
    file.mode = static_cast<mode_t>(operation.number);
  } else if (which < 84) {
    operation.kind = Kind::utimens;
    operation.number = 1000 + pick(100000);
    if (file.seen) file.seen->modified = timespec{static_cast<time_t>(operation.number), 5};
  } else {
    operation.text = pick(2) == 0 ? "user.x" : "user.y";
    const bool has = file.attributes.contains(operation.text);
    operation.kind = has ? Kind::remove_xattr : Kind::set_xattr;
    if (has) file.attributes.erase(operation.text);
    if (!has) file.attributes[operation.text] = std::to_string(operation.number);
  }
  return operation;
}

std::optional<Operation> World::choose_open(std::size_t which) {
  if (which < 25) {
    const auto path = any(is_file);
    if (!path || open_.size() >= kMostOpen) return std::nullopt;
    Operation operation{.kind = Kind::open, .path = *path, .index = next_open_++};
    operation.number = pick(2);
    open_[operation.index] = {at(*path), trees_[path->front()], operation.number == 1, false};
    return operation;
  }
  if (open_.empty()) return std::nullopt;
  auto open = open_.begin();
  std::advance(open, static_cast<long>(pick(open_.size())));
  Operation operation{.kind = Kind::close_open, .number = pick(20), .index = open->first};
  if (which < 40) {
    open_.erase(open);
    return operation;
  }
  if (!open->second.writable) return std::nullopt;
  operation.kind = Kind::write_open;
  operation.text = std::string(1 + pick(12), static_cast<char>('a' + pick(26)));
  operation.stale = open->second.stale;
  if (operation.stale) return operation;
  std::string& content = open->second.file->content;
  content.resize(std::max(content.size(), operation.number + operation.text.size()));
  content.replace(operation.number, operation.text.size(), operation.text);
  touch(*open->second.file, true);
  return operation;
}

// --- trees

void World::end_states_of(const ModelRef& root) {
  for (auto& [index, open] : open_) open.stale |= open.root == root;
}

std::optional<Operation> World::choose_tree(std::size_t which) {
  if (which >= 72) return choose_state(which);
  auto tree = trees_.begin();
  std::advance(tree, static_cast<long>(pick(trees_.size())));
  Operation operation{.path = {tree->first}};
  if (which < 45) return which < 20 ? fork(tree->first) : snapshot(tree->first);
  if (which < 50) {
    operation.kind = Kind::collect;
  } else if (which < 58) {
    operation.kind = Kind::remount;
    open_.clear();
  } else if (which < 63) {
    operation.kind = Kind::solidify;
    operation.number = pick(2);
  } else if (which < 67) {
    operation.kind = Kind::rename_tree;
    operation.other = {new_tree()};
    for (auto& [state, owner] : owners_) {
      if (owner == tree->first) owner = operation.other.front();
    }
    touch(*tree->second, false);
    trees_[operation.other.front()] = tree->second;
    trees_.erase(tree);
  } else {
    if (trees_.size() < 2) return std::nullopt;
    operation.kind = Kind::drop_tree;
    const ModelRef root = tree->second;
    std::erase_if(states_, [&](const auto& state) { return owners_[state.first] == tree->first; });
    std::erase_if(owners_, [&](const auto& owner) { return owner.second == tree->first; });
    trees_.erase(tree);
    end_states_of(root);
  }
  return operation;
}

std::optional<Operation> World::fork(const std::string& tree) {
  if (trees_.size() >= kMostTrees) return std::nullopt;
  Operation operation{.kind = Kind::fork, .path = {tree}, .other = {new_tree()}};
  Copies copies;
  trees_[operation.other.front()] = copy_tree(trees_[tree], copies);
  return operation;
}

std::optional<Operation> World::snapshot(const std::string& tree) {
  if (states_.size() >= kMostStates) return std::nullopt;
  Operation operation{.kind = Kind::snapshot, .path = {tree}, .number = next_state_++};
  Copies copies;
  states_[operation.number] = copy_tree(trees_[tree], copies);
  owners_[operation.number] = tree;
  return operation;
}

std::optional<Operation> World::choose_state(std::size_t which) {
  if (states_.empty()) return std::nullopt;
  auto state = states_.begin();
  std::advance(state, static_cast<long>(pick(states_.size())));
  Operation operation{.path = {owners_[state->first]}, .number = state->first};
  Copies copies;
  if (which < 80) {
    operation.kind = Kind::drop_state;
    owners_.erase(state->first);
    states_.erase(state);
  } else if (which < 88) {
    if (trees_.size() >= kMostTrees) return std::nullopt;
    operation.kind = Kind::fork_state;
    operation.other = {new_tree()};
    trees_[operation.other.front()] = copy_tree(state->second, copies);
  } else {
    operation.kind = Kind::rollback;
    const ModelRef root = trees_[operation.path.front()];
    // The state before is kept, under a number of its own.
    if (states_.size() < kMostStates) {
      operation.index = next_state_++;
      states_[operation.index] = copy_tree(root, copies);
      owners_[operation.index] = operation.path.front();
      copies.clear();
    }
    trees_[operation.path.front()] = copy_tree(state->second, copies);
    end_states_of(root);
  }
  return operation;
}

}  // namespace agentfs::test
