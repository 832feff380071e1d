// SPDX-License-Identifier: MIT
// Making hollow directories solid, and nodes ready for a change.
#include <unistd.h>

#include "backends/trees/forest_disk.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::trees {

Status ForestDisk::refuse(const ForestNode& node) const {
  const int code = node.tree->refusal;
  if (code == EROFS)
    return fail(code, "a snapshot, which nobody can change; a fork of it, or a copy, can be");
  if (code != 0)
    return fail(code, "a state that a rollback or a removal has ended; look the path up again");
  return ok();
}

// A rollback may have come since the lock was waited for.
Status ForestDisk::prepare_directory(ForestNode& directory) {
  if (directory.follows) catch_up(directory);
  if (directory.prepared()) return ok();
  TRY(refuse(directory));
  (void)TRY(keep(directory));
  const Spot spot = Spot::of(TRY(borrow(directory)).get());
  FileMark mark = marks_.file(spot);
  if (mark.changed) {
    mark.changed.reset();
    marks_.set_file(spot, mark);
    moved();
  }
  directory.tree->line->touched = true;
  directory.epoch = directory.tree->epoch.load();
  return ok();
}

Status ForestDisk::keep_time(ForestNode& directory) {
  return directory.is_directory() ? keep_shown(directory) : ok();
}

Status ForestDisk::keep_shown(ForestNode& node) {
  if (node.tree->epoch == 0 || !node.disk) return ok();
  const Borrowed fd = TRY(borrow(node));
  FileMark mark = marks_.file(Spot::of(fd.get()));
  if (mark.changed) return ok();
  struct stat attributes{};
  if (::fstat(fd.get(), &attributes) != 0) return fail_errno("a file or directory");
  mark.changed = attributes.st_ctim;
  mark.names = node.is_directory() ? 1 : attributes.st_nlink;
  marks_.set_file(Spot::of(fd.get()), mark);
  moved();
  node.epoch = 0;
  return ok();
}

// --- hollow directories

// From the first one above it that is on the disk: there may be more of them than a stack has room
// for.
Result<bool> ForestDisk::solidify(ForestNode& directory, Until until) {
  const Until begun = std::chrono::steady_clock::now();
  std::vector<ForestNodeRef> above{directory.shared_from_this()};
  while (!above.back()->solid() && !above.back()->disk) {
    const auto names = book().names(*above.back());
    if (names.empty()) return fail(ESTALE, "inode {}: not in this tree", above.back()->inode());
    above.push_back(names.front().parent);
  }
  // A part does some of it however far that was.
  if (until != kWhole) until += std::chrono::steady_clock::now() - begun;
  for (; !above.empty(); above.pop_back()) {
    ForestNode& next = *above.back();
    if (next.solid()) continue;
    if (!next.disk) return fail(ESTALE, "inode {}: not in this tree", next.inode());
    if (!TRY(fill(next, until))) return false;
    if (above.size() > 1 && is_over(until)) return false;
  }
  return true;
}

Result<bool> ForestDisk::fill(ForestNode& directory, Until until) {
  const auto filled = fill_part(directory, filling_[&directory], until);
  if (filled && !*filled) return filled;
  const Growth ended = std::move(filling_.extract(&directory).mapped());
  (void)TRY(filled);
  directory.source.reset();
  ++counts.filled;
  moved();
  TRY(settle_children(directory, ended.entries));
  return true;
}

// The mark goes last: until then, and after a crash, the directory is read where it was, and this
// is done again over what is there. So the times stay those that it had.
Result<bool> ForestDisk::fill_part(ForestNode& directory, Growth& growth, Until until) {
  TRY(refuse(directory));
  const Content content = TRY(resolve(*directory.source));
  const Borrowed from = TRY(table().borrow(*content.directory));
  const Borrowed to = TRY(borrow(directory));
  struct stat attributes{};
  if (::fstat(from.get(), &attributes) != 0) return fail_errno("a directory");
  const OwnerRights lent = TRY(OwnerRights::lend(from.get(), S_IRWXU, rights()));
  if (growth.disk != directory.disk) {
    growth = {.directory = directory.shared_from_this(),
              .disk = directory.disk,
              .entries = TRY(list_directory(from.get()))};
  }
  const OwnerRights open = TRY(OwnerRights::lend(to.get(), S_IRWXU, rights()));
  const bool is_whole = TRY(growth.go_on(until, [&](const HostEntry& entry) -> Status {
    if (entry.type != S_IFDIR) return link_file(from.get(), entry.name, to.get());
    TRY(make_fresh_directory(*directory.tree->line, to.get(), entry.name));
    return fill_directory(content, from.get(), directory, entry.name);
  }));
  const Spot spot = Spot::of(to.get());
  if (is_whole) TRY(marks_.remove_hollow(spot));
  restore_times(spot, attributes);
  moved();
  return is_whole;
}

// What it reads is a source of the line from now on, if it was read by way of another one before.
Status ForestDisk::fill_directory(const Content& content, int from, const ForestNode& above,
                                  const std::string& name) {
  const Content below = TRY(this->below(content, from, name));
  Line& line = *above.tree->line;
  TRY(line.add_sources({{below.source.line, below.source.sequence}}));
  ++line.shifts;
  return make_hollow(TRY(borrow(above)).get(), name, below.source, *below.shelf);
}

// Directories that were known through the hollow one are on the disk now.
Status ForestDisk::settle_children(ForestNode& directory, const std::vector<HostEntry>& entries) {
  const Borrowed fd = TRY(borrow(directory));
  for (const HostEntry& entry : entries) {
    if (entry.type != S_IFDIR) continue;
    const auto node = book().find(directory, entry.name);
    if (!node || node->disk) continue;
    auto found = TRY(open_entry(fd.get(), entry.name));
    node->set_source(TRY(marks_.hollow(Spot::in(fd.get(), entry.name))));
    book().move(*node, std::move(found.node));
  }
  return ok();
}

// Directories with a number that was used before are kept until another number was given. One that
// was made and removed since the newest snapshot may have had it: what is made here stands for one
// that was there before.
Status ForestDisk::make_fresh_directory(Line& line, int directory, const std::string& name) {
  std::vector<std::string> aside;
  const auto make = [&]() -> Status {
    for (;;) {
      if (::mkdirat(directory, name.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno(text::shown(name));
      }
      struct stat made{};
      if (::fstatat(directory, name.c_str(), &made, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno(text::shown(name));
      }
      if (!line.saved().has_number(made.st_ino)) {
        line.not_made(made.st_ino);
        return ok();
      }
      const std::string other = line.fresh_name();
      if (::renameat(directory, name.c_str(), line.directory(), other.c_str()) != 0) {
        return fail_errno(text::shown(name));
      }
      aside.push_back(other);
    }
  };
  Status made = make();
  for (const std::string& other : aside) {
    if (Status removed = remove_whole(line.directory(), other); made && !removed) made = removed;
  }
  return made;
}

Status ForestDisk::make_hollow(int directory, const std::string& name, const Source& source,
                               const TreeNode& shelf) {
  const Borrowed from = TRY(table().borrow(shelf));
  struct stat attributes{};
  if (::fstat(from.get(), &attributes) != 0) return fail_errno("a directory");
  const OwnerRights lent = TRY(OwnerRights::lend(from.get(), S_IRWXU, rights()));
  const UniqueFd made(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!made) return fail_errno(text::shown(name));
  struct stat its{};
  if (::fstat(made.get(), &its) != 0) return fail_errno(text::shown(name));
  const Spot spot = Spot::of(made.get());
  if ((its.st_mode & kPermissions) != 0700) ::chmod(spot.path.c_str(), 0700);
  const FileMark known = marks_.file(Spot::of(from.get()));
  const ino_t id = known.id.value_or(attributes.st_ino);
  marks_.set_file(spot, {.id = id,
                         .changed = known.changed.value_or(attributes.st_ctim),
                         .names = 1,
                         .hollow = true});
  TRY(marks_.set_hollow(spot, source));
  ids().lend(its.st_ino, id, attributes.st_ino);
  return copy_attributes(marks_, Spot::of(from.get()), attributes, spot);
}

// The mark is made before the link, which changes the time that it keeps.
Status ForestDisk::link_file(int from, const std::string& name, int to) {
  const Spot spot = Spot::in(from, name);
  struct stat attributes{};
  if (::fstatat(from, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(text::shown(name));
  }
  FileMark mark{.id = {}, .changed = attributes.st_ctim, .names = attributes.st_nlink};
  if (!marks_.add_file(spot, mark)) {
    mark = marks_.file(spot);
    if (!mark.changed) {
      mark.changed = attributes.st_ctim;
      mark.names = attributes.st_nlink;
      marks_.set_file(spot, mark);
    }
  }
  ++counts.linked;
  if (::linkat(from, name.c_str(), to, name.c_str(), 0) == 0 || errno == EEXIST) return ok();
  if (errno != EMLINK) return fail_errno(text::shown(name));
  const UniqueFd file(::openat(from, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail_errno(text::shown(name));
  counts.copied += TRY(copy_inode(marks_, file.get(), to, name, {.rights = rights()}));
  if (!mark.id) mark.id = attributes.st_ino;
  marks_.set_file(Spot::in(to, name), mark);
  struct stat copy{};
  if (::fstatat(to, name.c_str(), &copy, AT_SYMLINK_NOFOLLOW) == 0)
    ids().lend(copy.st_ino, *mark.id, attributes.st_ino);
  return ok();
}

}  // namespace agentfs::trees
