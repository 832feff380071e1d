// SPDX-License-Identifier: MIT
// Keeping directories for snapshots before they change.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "backends/trees/forest_disk.h"
#include "backends/trees/forest_missing.h"
#include "base/text.h"

namespace agentfs::trees {

Result<bool> ForestDisk::keep(ForestNode& directory, Until until) {
  if (!TRY(solidify(directory, until))) return false;
  return save(directory, until);
}

// What fails here is told by whoever changes the node.
bool ForestDisk::make_ready(ForestNode& node, Until until) {
  if (node.is_directory() && node.follows) catch_up(node);
  if (node.prepared() || is_top(node)) return true;
  const auto is_kept = [&](ForestNode& directory) {
    if (directory.tree->refusal == 0) return keep(directory, until).value_or(true);
    give_up(directory);
    filling_.erase(&directory);
    return true;
  };
  if (node.is_directory()) return is_kept(node);
  return std::ranges::all_of(book().parents(node),
                             [&](const ForestNodeRef& parent) { return is_kept(*parent); });
}

// A directory made since the newest snapshot is in none.
bool ForestDisk::is_to_be_saved(const ForestNode& directory) {
  const Line& line = *directory.tree->line;
  if (line.newest() == 0 || directory.removed) return false;
  const auto key = key_of(*directory.disk);
  return !key || !(line.was_made(*key) || line.saved().has(*key, line.newest()));
}

// What was begun is gone on with where it can be: of a directory that nobody has changed the
// entries are what they were, and what was made for an older snapshot is told of this one again.
Result<bool> ForestDisk::save(ForestNode& directory, Until until) {
  if (!is_to_be_saved(directory)) {
    give_up(directory);
    return true;
  }
  Line& line = *directory.tree->line;
  const DirectoryKey key = TRY(key_of(*directory.disk));
  if (saving_[&directory].disk != directory.disk) give_up(directory);
  const auto built = build_saved(directory, saving_[&directory], until);
  if (built && !*built) {
    moved();
    return built;
  }
  if (!built) {
    give_up(directory);
    if (built.error().code != ENOSPC) return built;
    return fail(ENOSPC,
                "the disk has no room to keep the directory for the checkpoints and forks that "
                "read it; removing files, and `discard` of some of these, makes room");
  }
  const Growth ended = std::move(saving_.extract(&directory).mapped());
  if (Status kept = line.keep(key, ended.name); !kept) {
    (void)remove_whole(line.directory(), ended.name);
    return std::unexpected(std::move(kept).error());
  }
  ++counts.saved;
  moved();
  return true;
}

void ForestDisk::give_up(const ForestNode& directory) {
  const auto begun = saving_.extract(&directory);
  if (begun.empty() || begun.mapped().name.empty()) return;
  (void)remove_whole(directory.tree->line->directory(), begun.mapped().name);
}

Result<bool> ForestDisk::build_saved(ForestNode& directory, Growth& growth, Until until) {
  Line& line = *directory.tree->line;
  const Borrowed from = TRY(borrow(directory));
  struct stat attributes{};
  if (::fstat(from.get(), &attributes) != 0) return fail_errno("a directory");
  const OwnerRights lent = TRY(OwnerRights::lend(from.get(), S_IRWXU, rights()));
  if (!growth.directory) {
    const std::string name = line.fresh_name();
    if (::mkdirat(line.directory(), name.c_str(), 0700) != 0) return fail_errno(name);
    growth = {.directory = directory.shared_from_this(), .disk = directory.disk, .name = name};
    growth.entries = TRY(list_directory(from.get()));
  }
  if (std::exchange(growth.newest, line.newest()) != line.newest()) growth.done = 0;
  const std::string& name = growth.name;
  const UniqueFd to(::openat(line.directory(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!to) return fail_errno(name);
  const bool is_whole = TRY(growth.go_on(until, [&](const HostEntry& entry) {
    return entry.type == S_IFDIR ? save_directory(line, from.get(), entry, to.get())
                                 : link_file(from.get(), entry.name, to.get());
  }));
  if (!is_whole) return false;
  const Spot spot = Spot::of(to.get());
  const FileMark known = marks_.file(Spot::of(from.get()));
  const ino_t id = known.id.value_or(attributes.st_ino);
  struct stat its{};
  if (::fstat(to.get(), &its) != 0) return fail_errno(name);
  ids().lend(its.st_ino, id, attributes.st_ino);
  marks_.set_file(spot, {.id = id,
                         .changed = known.changed.value_or(attributes.st_ctim),
                         .names = 1,
                         .roll = sum_of(growth.entries)});
  TRY(copy_attributes(marks_, Spot::of(from.get()), attributes, spot));
  return true;
}

// In a kept directory, a mark of where to read the one that it had.
Status ForestDisk::save_directory(const Line& line, int from, const HostEntry& entry, int to) {
  const UniqueFd below(::openat(from, entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!below) return fail_errno(text::shown(entry.name));
  if (::mkdirat(to, entry.name.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(text::shown(entry.name));
  }
  const UniqueFd stub(::openat(to, entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat its{};
  if (!stub || ::fstat(stub.get(), &its) != 0) return fail_errno(text::shown(entry.name));
  TRY(marks_.set_hollow(Spot::of(stub.get()), {line.number(), line.newest(), key_of(below.get())}));
  const ino_t id = id_of(marks_.file(Spot::of(below.get())), S_IFDIR, entry.inode);
  ids().lend(its.st_ino, id, entry.inode);
  return ok();
}

}  // namespace agentfs::trees
