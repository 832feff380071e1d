// SPDX-License-Identifier: MIT
// Snapshots, forks and rollbacks: a few calls of the disk each, the last of which makes it so.
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "backends/trees/forest_open.h"
#include "backends/trees/forest_store.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

TreeInfo info_of(const Line& line, std::string name) {
  TreeInfo info{.name = std::move(name),
                .number = line.number(),
                .base = line.base(),
                .has_sources = !line.sources().empty()};
  for (const auto& [sequence, state] : line.snapshots()) {
    info.snapshots.push_back(state.info);
    info.snapshots.back().was_replaced = line.retired().contains(sequence);
  }
  return info;
}

// Those who hold nodes of a state that is over may go on reading.
void freeze(Tree& tree) {
  ++tree.epoch;
  tree.refusal = ESTALE;
}

TreeRef successor_of(const Tree& tree, std::uint32_t turned) {
  auto now = std::make_shared<Tree>();
  now->line = tree.line;
  now->shown = tree.shown;
  now->turned = turned;
  now->epoch = tree.epoch.load();
  return now;
}

// What was made at `fresh` becomes the root, and the one there is kept for the state before.
Status change_places(const Spot& fresh, SnapshotId before, const Spot& root) {
  const std::string retired = Line::retired_name(before.sequence);
  const int room = fresh.directory;
  if (::renameat(room, fresh.name.c_str(), room, retired.c_str()) != 0) return fail_errno(retired);
  if (::renameat2(room, retired.c_str(), root.directory, root.name.c_str(), RENAME_EXCHANGE) == 0) {
    return ok();
  }
  const int code = errno;
  (void)remove_whole(room, retired);
  return fail_errno(code, text::shown(root.name));
}

}  // namespace

Result<ForestNodeRef> ForestStore::tree_root(const std::string& tree) {
  TRY(check_name(tree));
  const auto entry = TRY(f_->find(*f_->top_node, tree));
  auto node = std::static_pointer_cast<ForestNode>(entry.node);
  if (!node->is_directory()) {
    return fail(ENOTDIR, "{}: not a tree; a directory at the top of {} is", text::shown(tree),
                path_);
  }
  return node;
}

// The tree's root, with a line from now on.
Result<ForestNodeRef> ForestStore::forkable(const std::string& name) {
  auto root = TRY(tree_root(name));
  Tree& tree = *root->tree;
  if (tree.line) return root;
  const std::uint32_t number = next_number_++;
  auto line = TRY(Line::ensure(f_->hidden(), number, f_->marks()));
  const Spot spot = Spot::of(TRY(f_->borrow(*root)).get());
  const struct stat attributes = TRY(f_->raw_attributes(*root));
  f_->marks().set_file(spot, {.id = {}, .changed = attributes.st_ctim, .names = 1});
  TRY(f_->marks().set_tree(spot, {number, 0}));
  tree.line = line;
  tree.epoch = 1;
  f_->lines[number] = std::move(line);
  f_->live[number] = name;
  return root;
}

Result<const Line::Snapshot*> ForestStore::get(SnapshotId state) const {
  const auto line = f_->lines.find(state.tree);
  const auto* found = line == f_->lines.end() ? nullptr : line->second->find(state.sequence);
  // Of one that nothing depends on any more, parts may be gone.
  const auto kept = [&] {
    const ForestDisk::Wanted wanted = f_->wanted();
    const auto states = wanted.find(state.tree);
    return states != wanted.end() && states->second.contains(state.sequence);
  };
  const bool fresh =
      found != nullptr && state.sequence == line->second->newest() && !line->second->touched;
  if (found != nullptr && (!found->info.hidden || fresh || kept())) return found;
  return fail(ENOENT, "{}.{}: no snapshot has this number; family() tells those there are",
              state.tree, state.sequence);
}

Result<SnapshotId> ForestStore::take(ForestNode& root, SnapshotInfo info) {
  info.time = now();
  const DirectoryKey key = f_->key_of(TRY(f_->borrow(root)).get());
  const auto id = TRY(root.tree->line->add({std::move(info), next_number_, key}));
  ++next_number_;
  ++root.tree->epoch;
  return id;
}

Result<SnapshotId> ForestStore::snapshot(const std::string& tree, const std::string& label) {
  const std::unique_lock alone(mutex_);
  return take(*TRY(forkable(tree)), {.id = {}, .label = label});
}

// Forks of a tree that has not changed in between hang on one state.
Result<SnapshotId> ForestStore::fork(const std::string& tree, const std::string& name) {
  const std::unique_lock alone(mutex_);
  TRY(check_name(name));
  const auto root = TRY(forkable(tree));
  const Line& line = *root->tree->line;
  SnapshotId state{line.number(), line.newest()};
  if (line.touched || state.sequence == 0) {
    state = TRY(take(*root, {.id = {}, .label = name, .time = 0, .hidden = true}));
  }
  TRY(fork_alone(*TRY(get(state)), name));
  return state;
}

Status ForestStore::fork(SnapshotId state, const std::string& name) {
  const std::unique_lock alone(mutex_);
  TRY(check_name(name));
  return fork_alone(*TRY(get(state)), name);
}

Status ForestStore::fork_alone(const Line::Snapshot& state, const std::string& name) {
  const std::uint32_t number = next_number_++;
  const auto line = TRY(Line::ensure(f_->hidden(), number, f_->marks()));
  const auto make = [&]() -> Status {
    std::set<SnapshotId> sources = f_->lines.at(state.info.id.tree)->sources();
    sources.insert(state.info.id);
    TRY(line->add_sources(sources));
    TRY(line->set_base(state.info.id));
    const std::string fresh = line->fresh_name();
    const auto root = TRY(plant(*line, state, fresh, {number, number}));
    if (::renameat2(line->directory(), fresh.c_str(), f_->top(), name.c_str(), RENAME_NOREPLACE)) {
      return fail_errno(text::shown(name));
    }
    auto tree = std::make_shared<Tree>();
    tree->line = line;
    tree->shown = number;
    tree->epoch = 1;
    f_->set_tree(*root.node, std::move(tree));
    return ok();
  };
  if (Status made = make(); !made) {
    (void)remove_whole(f_->hidden(), fmt::format("{}", number));
    return made;
  }
  f_->lines[number] = line;
  f_->live[number] = name;
  f_->book().remove_name(*f_->top_node, name);
  return ok();
}

// A hollow root in the line's room that reads the state.
Result<TreeEntry> ForestStore::plant(Line& line, const Line::Snapshot& state,
                                     const std::string& name, const TreeMark& mark) {
  const SnapshotId id = state.info.id;
  const Content content = TRY(f_->resolve({id.tree, id.sequence, state.root}));
  TRY(line.add_sources({{content.source.line, content.source.sequence}}));
  ++line.shifts;
  TRY(f_->make_fresh_directory(line, line.directory(), name));
  TRY(f_->make_hollow(line.directory(), name, content.source, *content.shelf));
  TRY(f_->marks().set_tree(Spot::in(line.directory(), name), mark));
  return f_->open_entry(line.directory(), name);
}

// The new root changes places with the old one in a single step.
Result<SnapshotId> ForestStore::rollback(const std::string& name, SnapshotId state,
                                         const std::string& label) {
  const std::unique_lock alone(mutex_);
  const auto root = TRY(tree_root(name));
  const TreeRef tree = root->tree;
  if (!tree->line || tree->line->number() != state.tree) {
    return fail(EINVAL, "{}: snapshot {}.{} is of another tree; its own can be gone back to",
                text::shown(name), state.tree, state.sequence);
  }
  const Line::Snapshot target = *TRY(get(state));
  Line& line = *tree->line;
  TRY(line.add_sources({state}));
  const Spot fresh = Spot::in(line.directory(), line.fresh_name());
  TreeEntry planted;
  std::optional<Source> source;
  const std::uint32_t turned = next_number_++;
  // The new root comes first: where there is no room for it, no state that undoes this is kept.
  const auto replace = [&]() -> Result<SnapshotId> {
    TRY(f_->keep_time(*root));
    planted = TRY(plant(line, target, fresh.name, {line.number(), tree->shown, turned}));
    source = TRY(f_->marks().hollow(fresh));
    const auto undo = TRY(take(*root, {.id = {}, .label = label}));
    const Status replaced = line.retire(
        undo.sequence, [&] { return change_places(fresh, undo, Spot::in(f_->top(), name)); });
    if (!replaced && line.hide(undo.sequence)) loose_ = true;
    TRY(replaced);
    return undo;
  };
  const auto undo = replace();
  if (!undo) {
    (void)remove_whole(line.directory(), fresh.name);
    return undo;
  }
  line.touched = true;
  ++line.shifts;
  // The nodes of the state that is over keep their tree; the root alone gets another.
  const TreeRef now = successor_of(*tree, turned);
  f_->book().give({root}, now);
  freeze(*tree);
  f_->book().retire_names_in(*root);
  if (follows_) {
    for (const auto& one : f_->book().formers_below(*root).directories) one.node->follows = true;
  }
  f_->book().move(*root, planted.node);
  root->set_source(source);
  root->epoch = 0;
  f_->set_tree(*planted.node, now);
  f_->moved();
  return undo;
}

Status ForestStore::drop(const std::string& name, const std::function<Status()>& tell) {
  ForestNodeRef root;
  Line* line = nullptr;
  {
    const std::unique_lock alone(mutex_);
    root = TRY(tree_root(name));
    line = root->tree->line.get();
    // On a full disk what gives room comes first.
    if (const Status noted = line != nullptr ? line->note_dropped() : ok(); !noted) {
      log::warning("{}: fsck may miss it: {}", text::shown(name), noted.error().message);
    }
    TRY(f_->keep_time(*root));
    if (tell && line != nullptr) {
      TRY(reserve_.use([&] { return line->leave(f_->top(), name, trash_.get()); }));
    }
  }
  const Status told = tell ? tell() : ok();
  const std::unique_lock alone(mutex_);
  if (!told) {
    if (line != nullptr) TRY(reserve_.use([&] { return line->come_back(f_->top()); }));
    return told;
  }
  TRY(reserve_.use([&] { return put_away(*root, name); }));
  freeze(*root->tree);
  f_->set_tree(*root->disk, std::make_shared<Tree>());
  f_->book().remove_name(*f_->top_node, name);
  f_->linked.drop(*root->tree);
  if (line != nullptr) {
    f_->live.erase(line->number());
    ++line->shifts;
  }
  f_->moved();
  loose_ = true;
  return ok();
}

// What states of the tree may read goes to their line, all else to the trash.
Status ForestStore::put_away(const ForestNode& root, const std::string& name) {
  Line* const line = root.tree->line.get();
  if (line == nullptr) return to_trash(f_->top(), name);
  const UniqueFd left = line->leaving() ? TRY(line->leaving_room()) : UniqueFd();
  const int from = left ? left.get() : f_->top();
  // A root from before the last rollback has its place already; nothing reads this one then.
  const bool is_read =
      line->newest() > 0 && (line->retired().empty() || *line->retired().rbegin() < line->newest());
  if (is_read) {
    TRY(line->retire(line->newest(), [&]() -> Status {
      const std::string retired = Line::retired_name(line->newest());
      return ::renameat(from, name.c_str(), line->directory(), retired.c_str()) == 0
                 ? ok()
                 : fail_errno(text::shown(name));
    }));
  } else {
    TRY(to_trash(from, name));
  }
  return left ? line->end_leaving() : ok();
}

Status ForestStore::drop(SnapshotId state) {
  return reserve_.use([&]() -> Status {
    const std::unique_lock alone(mutex_);
    (void)TRY(get(state));
    TRY(f_->lines.at(state.tree)->hide(state.sequence));
    loose_ = true;
    return ok();
  });
}

// --- looking

Result<TreeNodeRef> ForestStore::snapshot_root(SnapshotId state) {
  const std::unique_lock alone(mutex_);
  const Line::Snapshot& snapshot = *TRY(get(state));
  std::weak_ptr<ForestNode>& known = views_[state];
  if (auto view = known.lock()) return view;
  auto tree = std::make_shared<Tree>();
  tree->line = f_->lines.at(state.tree);
  tree->shown = snapshot.shown;
  tree->epoch = 1;
  tree->refusal = EROFS;
  const auto live = f_->live.find(state.tree);
  tree->label = text::shown(snapshot.info.label);
  if (live != f_->live.end()) tree->label += " of " + text::shown(live->second);
  const Source source{state.tree, state.sequence, snapshot.root};
  const Content content = TRY(f_->resolve(source));
  const Borrowed fd = TRY(f_->table().borrow(*content.shelf));
  const ino_t id = f_->marks().file(Spot::of(fd.get())).id.value_or(content.shelf->inode());
  auto view = f_->book().ensure({.parent = nullptr,
                                 .name = "",
                                 .tree = tree,
                                 .disk = nullptr,
                                 .source = source,
                                 .type = S_IFDIR,
                                 .number = (ino_t{tree->shown} << 32) | (id & 0xFFFFFFFFu)});
  known = view;
  return view;
}

Result<TreeEntry> ForestStore::tree(const std::string& name, bool make) {
  TRY(check_name(name));
  {
    const std::shared_lock together(mutex_);
    auto found = find(*f_->top_node, name);
    if (found || !make || found.error().code != ENOENT) return found;
  }
  const std::unique_lock alone(mutex_);
  const auto made = f_->disk().make_directory(*f_->top_node->disk, name, 0700, TreeCaller{});
  if (!made) return made;
  return this->made(*f_->top_node, name, *made);
}

std::vector<TreeInfo> family_of(const ForestDisk& disk) {
  std::vector<TreeInfo> trees;
  for (const auto& [number, line] : disk.lines) {
    const auto live = disk.live.find(number);
    trees.push_back(info_of(*line, live == disk.live.end() ? "" : live->second));
  }
  return trees;
}

std::vector<TreeInfo> ForestStore::family() const {
  const std::shared_lock together(mutex_);
  return family_of(*f_);
}

std::optional<TreeInfo> ForestStore::info(const std::string& name) const {
  const std::shared_lock together(mutex_);
  for (const auto& [number, live] : f_->live) {
    if (live == name) return info_of(*f_->lines.at(number), name);
  }
  return std::nullopt;
}

std::optional<TreeInfo> ForestStore::info(std::uint32_t number) const {
  const std::shared_lock together(mutex_);
  const auto live = f_->live.find(number);
  if (live == f_->live.end()) return std::nullopt;
  return info_of(*f_->lines.at(number), live->second);
}

}  // namespace agentfs::trees
