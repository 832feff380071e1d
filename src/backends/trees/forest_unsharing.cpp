// SPDX-License-Identifier: MIT
// Giving a file that trees share an inode of its own in the tree that is about to change it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "backends/trees/forest_disk.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

Status link_again(int room, const std::string& name, const std::string& other) {
  if (::linkat(room, name.c_str(), room, other.c_str(), 0) == 0) return ok();
  return fail_errno("another name of a file");
}

// What has been written to the old inode since, or is another file of that number, is no half of
// what the note tells of: an earlier build left it where names could not be moved.
bool is_copy_of(ForestDisk& disk, const Marks& marks, const Spot& made, const Spot& old) {
  struct stat its{};
  struct stat was{};
  const auto look = [](const Spot& spot, struct stat& found) {
    return ::fstatat(spot.directory, spot.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0;
  };
  if (!look(made, its) || !look(old, was)) return false;
  const std::int64_t later = nanoseconds_of(its.st_mtim) - nanoseconds_of(was.st_mtim);
  const bool is_of_then = later == 0 || (later > 0 && its.st_size == 0);  // emptied as it was made
  const auto number = [&](const Spot& spot, const struct stat& file) {
    return disk.id_of(marks.file(spot), file.st_mode & S_IFMT, file.st_ino);
  };
  return is_of_then && its.st_mode == was.st_mode && its.st_uid == was.st_uid &&
         its.st_gid == was.st_gid && number(made, its) == number(old, was);
}

}  // namespace

// All directories with a name of the file are kept first: what a snapshot has of a group of hard
// links must be one file, too.
Status ForestDisk::prepare_file(ForestNode& file, bool empty) {
  if (file.prepared()) return ok();
  TRY(refuse(file));
  std::unordered_set<std::uint64_t>& prepared = linked.of(file.tree).prepared;
  const auto identity = [&] { return table().file_identity(*file.disk); };
  bool is_shared = false;
  if (prepared.empty() || !prepared.contains(identity())) {
    const auto names = TRY(names_of(file));
    for (const ForestNode::Name& name : names) (void)TRY(keep(*name.parent));
    const Borrowed fd = TRY(borrow(file));
    struct stat attributes{};
    if (::fstat(fd.get(), &attributes) != 0) return fail_errno("a file");
    is_shared = attributes.st_nlink > names.size();
    if (is_shared) TRY(unshare(file, names, empty));
    if (names.size() > 1 && identity() != 0) prepared.insert(identity());
  }
  const Borrowed fd = TRY(borrow(file));
  FileMark mark = is_shared ? FileMark() : marks_.file(Spot::of(fd.get()));
  if (mark.changed) {  // what its own tree alone has is shown as it is
    mark.changed.reset();
    marks_.set_file(Spot::of(fd.get()), mark);
    moved();
  }
  file.tree->line->touched = true;
  file.epoch = file.tree->epoch.load();
  return ok();
}

// Where a directory with a name of it is kept first, that has one, too, then.
bool ForestDisk::is_to_be_unshared(const ForestNode& file, nlink_t links) {
  if (links > book().name_count(file)) return true;
  return std::ranges::any_of(book().parents(file), [this](const ForestNodeRef& parent) {
    return !parent->solid() || is_to_be_saved(*parent);
  });
}

bool ForestDisk::lends(const ForestNode& file) {
  if (marks_.lender() == nullptr || file.type() != S_IFREG) return false;
  const auto fd = borrow(file);
  return fd && marks_.lends(fd->get());
}

// The inode stays the same, shared or not: whoever has it is to read these bytes.
Result<ForestDisk::Fetch> ForestDisk::begin_fetch(ForestNode& file, const AheadCopies::Turn& turn) {
  if (file.disk->inode() != turn.key().inode || !lends(file)) return Fetch();
  const Borrowed fd = TRY(borrow(file));
  struct stat was{};
  if (::fstat(fd.get(), &was) != 0) return fail_errno("a lent file");
  const OwnerRights lent = TRY(OwnerRights::lend(fd.get(), S_IRUSR | S_IWUSR, rights()));
  Fetch opened{.file = UniqueFd(::open(fd.path().c_str(), O_RDWR | O_CLOEXEC)), .from = {}};
  if (!opened.file) return fail_errno("a lent file");
  opened.from = TRY(marks_.lender()->open(opened.file.get()));
  ahead_.put(turn, {.was = was});
  return opened;
}

Status ForestDisk::end_fetch(ForestNode& file, int filled, bool is_whole) {
  struct stat now{};
  if (::fstat(filled, &now) != 0) return fail_errno("a lent file");
  const OwnerRights lent = TRY(OwnerRights::lend(filled, S_IRUSR | S_IWUSR, rights()));
  if (const auto was = ahead_.shown(now.st_ino)) restore_times(Spot::of(filled), *was);
  if (!is_whole) return ok();
  TRY(marks_.lender()->own(filled));
  if (file.disk->inode() != now.st_ino) return ok();
  for (const HeldFile& open : book().files(file)) {
    const UniqueFd again(::open(Spot::of(filled).path.c_str(), open.flags | O_CLOEXEC));
    if (!again) return fail_errno("a file opened again");
    ::dup3(again.get(), open.file->descriptor(), O_CLOEXEC);
  }
  return ok();
}

Status ForestDisk::keep_parents(ForestNode& file) {
  if (file.prepared() || file.is_directory()) return ok();
  TRY(refuse(file));
  for (const ForestNodeRef& parent : book().parents(file)) (void)TRY(keep(*parent));
  return ok();
}

// --- names

bool ForestDisk::leads_to(const ForestNode::Name& name, ino_t inode) {
  ++counts.looked;
  const auto content = this->content(*name.parent);
  const auto directory = content ? table().borrow(*content->directory) : Result<Borrowed>();
  struct stat attributes{};
  return directory && *directory &&
         ::fstatat(directory->get(), name.name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0 &&
         attributes.st_ino == inode;
}

// Those of which nobody has asked yet are looked for in the whole tree.
Result<std::vector<ForestNode::Name>> ForestDisk::names_of(ForestNode& file) {
  std::vector<ForestNode::Name> names;
  if (file.removed) return names;
  const ino_t inode = file.disk->inode();
  const auto take = [&](const std::vector<ForestNode::Name>& all) {
    std::ranges::copy_if(all, std::back_inserter(names),
                         [&](const auto& name) { return leads_to(name, inode); });
  };
  take(book().names(file));
  const Borrowed fd = TRY(borrow(file));
  struct stat attributes{};
  if (::fstat(fd.get(), &attributes) != 0) return fail_errno("a file");
  const FileMark mark = marks_.file(Spot::of(fd.get()));
  const nlink_t count = mark.changed ? mark.names : attributes.st_nlink;
  if (names.size() >= count || attributes.st_nlink == 0) return names;
  HardLinks& known = linked.of(file.tree);
  names.clear();
  take(known.found.of(inode));
  if (names.size() >= count) return names;
  const TreeEntry root = TRY(find(*top_node, live.at(file.tree->line->number())));
  known.found = TRY(find_hard_links(*this, static_cast<ForestNode&>(*root.node), inode));
  ++counts.searched;
  return known.found.of(inode);
}

// --- the new inode

Status ForestDisk::unshare(ForestNode& file, const std::vector<ForestNode::Name>& names,
                           bool empty) {
  Line& line = *file.tree->line;
  const Borrowed old = TRY(borrow(file));
  const ino_t old_inode = file.disk->inode();
  const FileMark mark{.id = id_of(marks_.file(Spot::of(old.get())), file.type(), old_inode)};
  std::vector<std::pair<std::shared_ptr<TreeFile>, UniqueFd>> replacements;
  // Who has a lent file open reads where its bytes lie; in its copy, which is lent, too, there are
  // none.
  const bool stays_lent = !empty && file.type() == S_IFREG && marks_.lends(old.get());
  const auto open_again = [&](int made) -> Status {
    marks_.set_file(Spot::of(made), mark);
    if (stays_lent) return ok();
    for (const HeldFile& open : book().files(file)) {
      UniqueFd again(::open(Spot::of(made).path.c_str(), open.flags | O_CLOEXEC));
      if (!again) return fail_errno("a file opened again");
      replacements.emplace_back(open.file, std::move(again));
    }
    return ok();
  };
  const std::string fresh = line.fresh_name();
  const auto ahead = empty ? AheadCopies::Copy() : ahead_.take(AheadCopies::key_of(file));
  const CopyOptions how{
      .empty = empty, .made = ahead.file.get(), .meanwhile = open_again, .rights = rights()};
  counts.copied += ahead.bytes + TRY(copy_inode(marks_, old.get(), line.directory(), fresh, how));
  if (const auto was = ahead_.shown(old_inode)) {
    restore_times(Spot::in(line.directory(), fresh), *was);
  }
  if (file.type() != S_IFREG) marks_.set_file(Spot::in(line.directory(), fresh), mark);
  const TreeEntry made = TRY(open_entry(line.directory(), fresh));
  ids().lend(made.attributes.st_ino, *mark.id, old_inode);
  const Borrowed held = TRY(table().borrow(*made.node));
  TRY(move_names(line, old, fresh, names));
  if (names.empty()) table().keep_removed(UniqueFd(::dup(held.get())));
  book().move(file, made.node);
  for (const auto& [open, replacement] : replacements) {
    ::dup3(replacement.get(), open->descriptor(), O_CLOEXEC);
  }
  ++counts.unshared;
  if (ahead.file) ++counts.ahead;
  moved();
  return ok();
}

// All that takes room comes before the first name has moved, and where one cannot be moved, those
// before it come back. With several names, a crash between two leaves a note of what to go on with.
Status ForestDisk::move_names(Line& line, const Borrowed& old, const std::string& fresh,
                              const std::vector<ForestNode::Name>& names) {
  const int room = line.directory();
  struct stat its{};
  if (::fstat(old.get(), &its) != 0) return fail_errno("a file");
  const std::string note = fmt::format("moving.{}", its.st_ino);
  std::vector<std::string> links{fresh};  // of the new inode, one a name
  Status moved = ok();
  if (names.size() > 1) {
    ::unlinkat(room, note.c_str(), 0);  // of a build that left it where this failed
    moved = link_again(room, fresh, note);
  }
  while (moved && links.size() < names.size()) {
    moved = link_again(room, fresh, links.emplace_back(line.fresh_name()));
  }
  std::size_t done = 0;
  while (moved && done < names.size()) {
    moved = put_over(line, links[done], names[done]);
    if (moved) ++done;
  }
  bool is_whole = true;  // the old inode has all names, or the new one
  for (; !moved && done > 0; --done) {
    const std::string back = line.fresh_name();
    const bool is_made =
        ::linkat(AT_FDCWD, old.path().c_str(), room, back.c_str(), AT_SYMLINK_FOLLOW) == 0;
    is_whole = is_made && put_over(line, back, names[done - 1]) && is_whole;
    if (is_made) ::unlinkat(room, back.c_str(), 0);
  }
  for (const std::string& link : links) ::unlinkat(room, link.c_str(), 0);
  if (is_whole) ::unlinkat(room, note.c_str(), 0);
  return moved;
}

// The directory's own times are not those of a change that anybody made.
Status ForestDisk::put_over(Line& line, const std::string& fresh, const ForestNode::Name& name) {
  const Borrowed directory = TRY(borrow(*name.parent));
  struct stat attributes{};
  if (::fstat(directory.get(), &attributes) != 0) return fail_errno("a directory");
  TRY(keep_time(*name.parent));
  const OwnerRights lent = TRY(lend(*name.parent, S_IRWXU));
  if (::renameat(line.directory(), fresh.c_str(), directory.get(), name.name.c_str()) != 0) {
    return fail_errno(text::shown(name.name));
  }
  restore_times(Spot::of(directory.get()), attributes);
  name.parent->epoch = 0;
  return ok();
}

Status ForestDisk::recover(Line& line, ForestNode& root) {
  const int room = line.directory();
  for (const ino_t old : line.moving()) {
    const std::string note = fmt::format("moving.{}", old);
    const FoundLinks found = TRY(find_hard_links(*this, root, old));
    for (const ForestNode::Name& name : found.of(old)) {
      const Borrowed directory = TRY(borrow(*name.parent));
      const Spot spot = Spot::in(directory.get(), name.name);
      if (!is_copy_of(*this, marks_, Spot::in(room, note), spot)) break;
      const std::string fresh = line.fresh_name();
      TRY(link_again(room, note, fresh));
      TRY(put_over(line, fresh, name));
    }
    ::unlinkat(room, note.c_str(), 0);
  }
  return ok();
}

}  // namespace agentfs::trees
