// SPDX-License-Identifier: MIT
// Finding what nodes are on the disk, through hollow directories, and what is shown of it.
#include <unistd.h>

#include "backends/trees/forest_disk.h"
#include "base/blocks.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// From a hollow directory to what it reads; each step leads to an older state.
constexpr std::size_t kLongestWay = 10'000;

// Of a tree whose files have no marks.
NodeBook::Place unmarked(ForestDisk& disk, NodeBook::Place place) {
  place.number = disk.shown_number(*place.tree, place.type, place.number, place.number);
  return place;
}

// What its bytes take where it has no holes, in blocks of 512 bytes.
blkcnt_t blocks_of_bytes(const struct stat& file) {
  const auto block = std::max<off_t>(file.st_blksize, 512);
  return (file.st_size + block - 1) / block * (block / 512);
}

// A directory's attributes are most often ours, and where they need a block of their own, on ext4,
// they do so at times that nobody is told of: what counts is its names.
void show_names_alone(struct stat& directory) {
  directory.st_blocks = std::min<blkcnt_t>(directory.st_blocks, blocks_of_bytes(directory));
}

}  // namespace

Result<Borrowed> ForestDisk::borrow(const ForestNode& node) {
  if (!node.disk) return fail(ESTALE, "inode {}: nowhere on the disk", node.inode());
  return table().borrow(*node.disk);
}

// A handle tells which one it is also where none can be opened.
DirectoryKey ForestDisk::key_of(int fd) {
  struct stat attributes{};
  ::fstat(fd, &attributes);
  int mount = 0;
  return {attributes.st_ino, read_handle(fd, mount)};
}

Result<DirectoryKey> ForestDisk::key_of(const TreeNode& directory) {
  const FileHandle& known = table().handle_of(directory);
  if (!known.bytes.empty()) return DirectoryKey{directory.inode(), known};
  return key_of(TRY(table().borrow(directory)).get());
}

Result<OwnerRights> ForestDisk::lend(const ForestNode& node, mode_t bits) {
  return OwnerRights::lend(TRY(borrow(node)).get(), bits, rights());
}

ino_t ForestDisk::id_of(const FileMark& mark, mode_t type, ino_t inode) {
  if (mark.id) return *mark.id;
  const bool bears = parts_.trusted || (!mark.elsewhere && (type == S_IFREG || type == S_IFDIR));
  return bears ? inode : ids().id_of(inode);
}

Result<TreeEntry> ForestDisk::open_entry(int directory, const std::string& name) {
  UniqueFd fd = table().open_with_relief(
      [&] { return ::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC); });
  if (!fd) return fail_errno(text::shown(name));
  return table().entry(std::move(fd));
}

TreeRef ForestDisk::tree_at(const TreeEntry& directory) {
  const Lock lock(mutex_);
  TreeRef& tree = trees_[directory.attributes.st_ino];
  if (!tree) tree = std::make_shared<Tree>();
  return tree;
}

void ForestDisk::set_tree(const TreeNode& directory, TreeRef tree) {
  const Lock lock(mutex_);
  std::swap(trees_[directory.inode()], tree);
}

// --- hollow directories

Result<TreeNodeRef> ForestDisk::search(int directory, const std::string& name, ino_t inode) {
  auto entry = TRY(open_entry(directory, name));
  if (entry.attributes.st_ino == inode) return entry.node;
  if (!S_ISDIR(entry.attributes.st_mode)) return nullptr;
  const Borrowed fd = TRY(table().borrow(*entry.node));
  const OwnerRights lent = TRY(OwnerRights::lend(fd.get(), S_IRWXU, rights()));
  for (const HostEntry& below : TRY(list_directory(fd.get()))) {
    if (below.type != S_IFDIR) continue;
    if (auto found = TRY(search(fd.get(), below.name, inode))) return found;
  }
  return nullptr;
}

// Without file handles a directory that nobody holds is looked for in the whole tree: roots first
// that left it last. What was live then and has gone since was saved before, and is not asked for.
Result<TreeNodeRef> ForestDisk::live_directory(const Source& source) {
  Identity wanted{book().device(), source.key.inode, {}};
  if (table().has_file_handles()) wanted.handle = source.key.handle;
  if (auto known = table().known(wanted)) return known;
  if (!wanted.handle.bytes.empty()) {
    auto found = TRY(table().find(wanted.handle));
    if (found.attributes.st_ino == source.key.inode) return found.node;
    return fail(EBADMSG, "directory {} of tree {}: what is found by its handle is inode {}",
                source.key.inode, source.line, found.attributes.st_ino);
  }
  const Line& line = *lines.at(source.line);
  if (const auto name = live.find(source.line); name != live.end()) {
    const UniqueFd left = line.leaving() ? TRY(line.leaving_room()) : UniqueFd();
    const int above = left ? left.get() : top();
    if (auto found = TRY(search(above, name->second, source.key.inode))) return found;
  }
  for (const std::uint64_t sequence : line.retired()) {
    if (sequence < source.sequence) continue;
    const std::string name = Line::retired_name(sequence);
    if (auto found = TRY(search(line.directory(), name, source.key.inode))) return found;
  }
  return fail(ESTALE, "directory {} of tree {}: not on the disk any more; fsck tells what is left",
              source.key.inode, source.line);
}

Result<ForestDisk::Shelf> ForestDisk::shelf_of(const Source& source) {
  const auto line = lines.find(source.line);
  if (line == lines.end()) {
    return fail(ESTALE, "tree {}: its states are gone from the disk; fsck tells what is left",
                source.line);
  }
  const auto saved = line->second->saved().find(source.key, source.sequence);
  if (!saved) return Shelf{TRY(live_directory(source)), false};
  return Shelf{TRY(open_entry(line->second->directory(), saved->name())).node, true};
}

Result<Content> ForestDisk::resolve(Source source) {
  Content content;
  for (std::size_t steps = 0; steps < kLongestWay; ++steps) {
    Shelf shelf = TRY(shelf_of(source));
    if (!content.shelf) content.shelf = shelf.directory;
    std::optional<Source> next;
    if (!shelf.saved) {
      next = TRY(marks_.hollow(Spot::of(TRY(table().borrow(*shelf.directory)).get())));
    }
    if (!next) {
      content.directory = std::move(shelf.directory);
      content.source = std::move(source);
      content.saved = shelf.saved;
      content.moves = moves_;
      return content;
    }
    source = std::move(*next);
  }
  return fail(EBADMSG, "directory {} of tree {}: its marks lead round in a circle",
              source.key.inode, source.line);
}

// A directory that is nowhere on the disk is found by those above it, from the first whose source
// is there for certain: the top of a state, one that is on the disk, or one that was found since
// the last collection. The state by way of which it was found itself may be gone, since nothing has
// read that any more once what was in between had become solid.
Result<Content> ForestDisk::content(ForestNode& directory) {
  if (directory.solid()) return Content{.shelf = directory.disk, .directory = directory.disk};
  if (auto known = book().content(directory); known && known->moves == moves_) return *known;
  std::vector<ForestNode::Name> way;  // the directory's own first
  ForestNodeRef from = directory.shared_from_this();
  while (!from->solid() && !from->disk && from->collections != collections_) {
    const auto names = book().names(*from);
    if (names.empty()) break;
    way.push_back(names.front());
    from = way.back().parent;
  }
  if (from->solid()) way.clear();
  Content content = TRY(way.empty() ? resolve(*directory.source) : this->content(*from));
  for (; !way.empty(); way.pop_back()) {
    const Borrowed fd = TRY(table().borrow(*content.directory));
    content = TRY(below(content, fd.get(), way.back().name));
    if (way.size() > 1) book().set_content(*way[way.size() - 2].parent, content);
  }
  if (directory.disk) content.shelf = directory.disk;
  book().set_content(directory, content);
  return content;
}

// What is known while it is resolved need not be opened by its handle.
Result<Content> ForestDisk::below(const Content& content, int directory, const std::string& name) {
  const TreeEntry entry = content.saved ? TreeEntry() : TRY(open_entry(directory, name));
  return resolve(TRY(source_of(content, directory, name, entry.node.get())));
}

Result<Source> ForestDisk::source_of(const Content& content, int directory, const std::string& name,
                                     const TreeNode* known) {
  Source source{content.source.line, content.source.sequence, {}};
  if (content.saved) {
    const auto mark = TRY(marks_.hollow(Spot::in(directory, name)));
    if (!mark) return fail(EBADMSG, "{}: a kept directory without its mark", text::shown(name));
    source.key = mark->key;
    return source;
  }
  if (known != nullptr) {
    source.key = TRY(key_of(*known));
    return source;
  }
  const UniqueFd fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(text::shown(name));
  source.key = key_of(fd.get());
  return source;
}

// --- nodes

Result<NodeBook::Place> ForestDisk::place(ForestNode& parent, const std::string& name,
                                          const TreeEntry& entry, const Content& content) {
  NodeBook::Place place{.parent = parent.shared_from_this(), .name = name, .tree = parent.tree};
  place.type = entry.attributes.st_mode & S_IFMT;
  place.number = entry.attributes.st_ino;
  const bool directory = place.type == S_IFDIR;
  if (directory && is_top(parent)) place.tree = tree_at(entry);
  const bool virtual_one = directory && !parent.solid();
  place.known = virtual_one ? book().find(parent, name) : book().find(*place.tree, *entry.node);
  if (place.known) {
    if (!virtual_one) place.disk = entry.node;
    return place;
  }
  TreeNodeRef bearer = entry.node;
  if (virtual_one) {
    const Borrowed above = TRY(table().borrow(*content.directory));
    place.source = TRY(source_of(content, above.get(), name, entry.node.get()));
    place.collections = collections_;
    place.content = TRY(resolve(*place.source));
    bearer = place.content->shelf;
    place.number = bearer->inode();
  } else {
    place.disk = entry.node;
  }
  if (place.tree->epoch == 0) return unmarked(*this, std::move(place));
  if (!directory && !parent.solid()) {
    // What a hollow directory reads does not change while anybody holds the store's lock.
    const Borrowed above = TRY(table().borrow(*content.directory));
    know_mark(place, marks_.file(Spot::in(above.get(), name)));
    return place;
  }
  const Borrowed fd = TRY(table().borrow(*bearer));
  const Spot spot = Spot::of(fd.get());
  const FileMark mark = marks_.file(spot);
  know_mark(place, mark);
  if (directory && place.disk) place.source = TRY(marks_.hollow(spot, &mark));
  return place;
}

Result<NodeBook::Place> ForestDisk::place_nameless(const ForestNode& directory,
                                                   const TreeEntry& entry) {
  NodeBook::Place place;
  place.tree = directory.tree;
  place.disk = entry.node;
  place.type = entry.attributes.st_mode & S_IFMT;
  place.number = entry.attributes.st_ino;
  place.epoch = place.tree->epoch;
  if (place.epoch == 0) return unmarked(*this, std::move(place));
  const Borrowed fd = TRY(table().borrow(*entry.node));
  know_mark(place, marks_.file(Spot::of(fd.get())));
  return place;
}

void ForestDisk::know_mark(NodeBook::Place& place, const FileMark& mark) {
  place.mark = KnownMark{mark, moves_};
  const ino_t id = id_of(mark, place.type, place.number);
  place.number = shown_number(*place.tree, place.type, id, place.number);
}

ino_t ForestDisk::shown_number(const Tree& tree, mode_t type, ino_t id, ino_t inode) {
  return tree.number_of(type, ids().shown(inode, id));
}

Status ForestDisk::check_readable(const ForestNode& parent, const std::string& name) const {
  if (!is_top(parent) || !unreadable.contains(name)) return ok();
  return fail(EBADMSG, "{}: {}; agentfs fsck says more", text::shown(name), unreadable.at(name));
}

// What is known to have the name needs no descriptor to be found by.
Result<ForestNodeRef> ForestDisk::find_known(ForestNode& parent, const std::string& name,
                                             struct stat& attributes) {
  auto known = parent.solid() ? book().find(parent, name) : nullptr;
  if (!known || !known->disk || !known->solid()) return nullptr;
  const Borrowed directory = TRY(table().borrow(*parent.disk));
  const auto now = table().at(directory, name, *known->disk);
  if (!now) return nullptr;
  attributes = TRY(shown(*known, *now));
  return known;
}

Result<TreeEntry> ForestDisk::find(ForestNode& parent, const std::string& name) {
  TRY(check_readable(parent, name));
  TreeEntry quick;
  quick.node = TRY(find_known(parent, name, quick.attributes));
  if (quick.node) return quick;
  const Content content = TRY(this->content(parent));
  const TreeEntry entry = TRY(disk().lookup(*content.directory, name));
  auto node = book().ensure(TRY(place(parent, name, entry, content)));
  const bool same = node->solid() && node->disk == entry.node;
  const struct stat attributes =
      TRY(same ? shown(*node, entry.attributes) : this->attributes(*node));
  return TreeEntry{std::move(node), attributes};
}

// A lent file has no blocks but what our attributes may take; who takes that for a file without
// data would be wrong, and it is going to have those that it has where it lies. While it is filled,
// it is what it was.
void ForestDisk::show_lent(const TreeNode& file, struct stat& attributes) {
  if (marks_.lender() == nullptr || !S_ISREG(attributes.st_mode) || attributes.st_size == 0) return;
  const auto was = ahead_.shown(attributes.st_ino);
  if (was) {
    attributes.st_mtim = was->st_mtim;
    attributes.st_ctim = was->st_ctim;
  }
  if (!was && held_by(attributes) >= attributes.st_size) return;
  const auto fd = table().borrow(file);
  if (!fd || !marks_.lends(fd->get())) return;
  attributes.st_blocks = marks_.lender()->blocks(fd->get()).value_or(blocks_of_bytes(attributes));
}

Result<struct stat> ForestDisk::raw_attributes(ForestNode& node) {
  if (node.solid()) return disk().attributes(*node.disk);
  const Content content = TRY(this->content(node));
  struct stat attributes = TRY(disk().attributes(*content.shelf));
  const struct stat filled = TRY(disk().attributes(*content.directory));
  attributes.st_nlink = filled.st_nlink;
  attributes.st_size = filled.st_size;
  attributes.st_blocks = filled.st_blocks;
  return attributes;
}

Result<struct stat> ForestDisk::attributes(ForestNode& node) {
  return shown(node, TRY(raw_attributes(node)));
}

Result<FileMark> ForestDisk::mark_of(ForestNode& node) {
  if (const auto known = book().mark(node); known && known->moves == moves_) return known->mark;
  const TreeNodeRef bearer = node.disk ? node.disk : TRY(content(node)).shelf;
  const KnownMark mark{marks_.file(Spot::of(TRY(table().borrow(*bearer)).get())), moves_};
  book().set_mark(node, mark);
  return mark.mark;
}

Result<struct stat> ForestDisk::shown(ForestNode& node, struct stat attributes) {
  if (node.is_directory()) show_names_alone(attributes);
  const bool is_marked = node.tree->epoch != 0;
  const FileMark mark = is_marked ? TRY(mark_of(node)) : FileMark();
  attributes.st_blocks -= std::min(mark.blocks, attributes.st_blocks);
  if (node.disk) show_lent(*node.disk, attributes);
  attributes.st_ino = node.inode();
  if (!is_marked) return attributes;
  if (mark.changed) attributes.st_ctim = *mark.changed;
  if (mark.changed && !node.is_directory()) attributes.st_nlink = mark.names;
  const bool is_over = node.tree->refusal == ESTALE && !node.is_directory();
  if (node.removed || is_over) attributes.st_nlink = 0;
  return attributes;
}

}  // namespace agentfs::trees
