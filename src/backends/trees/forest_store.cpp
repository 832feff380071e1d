// SPDX-License-Identifier: MIT
// Finding, reading and opening files.
#include "backends/trees/forest_store.h"

#include <unistd.h>

#include "backends/trees/disk_files.h"
#include "backends/trees/forest_directory.h"
#include "backends/trees/forest_file.h"
#include "base/text.h"

namespace agentfs::trees {

ForestStore::ForestStore(std::string path, std::string reserve, std::unique_ptr<ForestDisk> forest,
                         UniqueFd trash)
    : path_(std::move(path)),
      f_(std::move(forest)),
      trash_(std::move(trash)),
      reserve_(std::move(reserve)) {
  reserve_.fill();
  if (reserve_.exists()) keep_spare_directory(trash_.get());
}

ForestStore::~ForestStore() {
  for (const auto& [number, line] : f_->lines) line->roll().settle();
}

Result<ForestNodeRef> ForestStore::own(const TreeNode& node) {
  const auto* known = dynamic_cast<const ForestNode*>(&node);
  if (known == nullptr) return fail(EXDEV, "inode {}: a file of another store", node.inode());
  auto mine = std::const_pointer_cast<ForestNode>(known->shared_from_this());
  if (!mine->follows) return mine;
  const std::unique_lock alone(mutex_);
  f_->catch_up(*mine);
  return mine;
}

bool ForestStore::is_plain(const ForestNode& directory) const {
  return directory.tree->epoch == 0 && !f_->is_top(directory);
}

bool ForestStore::is_forked(const ForestNode& node) const {
  const std::shared_lock together(mutex_);
  return node.tree->line != nullptr && node.tree->refusal == 0;
}

// By names and not by the disk: where a hollow directory reads is not where it is.
std::string ForestStore::host_path(const TreeNode& any) const {
  std::string path;
  const auto* node = dynamic_cast<const ForestNode*>(&any);
  if (node == nullptr) return fmt::format("{}: inode {}", path_, any.inode());
  ForestNodeRef held;
  while (!f_->is_top(*node)) {
    auto place = f_->book().place_of(*node);
    if (!place || node->removed) {
      const std::string label = f_->book().label(*node);
      if (label.empty()) return fmt::format("{}: inode {}{}", path_, node->inode(), path);
      return fmt::format("{}: snapshot {}: {}", path_, label, path.empty() ? "/" : path);
    }
    path.insert(0, fmt::format("/{}", place->name));
    held = std::move(place->parent);
    node = held.get();
  }
  return path_ + path;
}

Status ForestStore::use_descriptor(const TreeNode& any, const std::function<Status(int)>& use) {
  const auto node = TRY(own(any));
  if (is_forked(*node)) {
    const auto alone = alone_with({node.get()});
    TRY(f_->keep_parents(*node));
  }
  Borrowed fd;
  {
    const std::shared_lock together(mutex_);
    fd = TRY(f_->table().borrow(*TRY(bearer(*node))));
  }
  return use(fd.get());
}

std::uint64_t ForestStore::identity(const TreeNode& any) {
  const auto node = own(any);
  if (!node) return 0;
  const std::shared_lock together(mutex_);
  const auto file = bearer(**node);
  return file ? f_->table().file_identity(**file) : 0;
}

// The node of the disk that attributes and links are read from.
Result<TreeNodeRef> ForestStore::bearer(ForestNode& node) {
  if (node.disk) return node.disk;
  return TRY(f_->content(node)).shelf;
}

// A name may have been taken away or given to another file between the disk's answer and the
// book's entry: then it is asked for again. What still has it stays the node that it was: who works
// in a directory is known by it.
Result<TreeEntry> ForestStore::find(ForestNode& parent, const std::string& name) {
  TreeNodeRef doubtful;
  for (;;) {
    const std::uint64_t before = names_.count();
    auto entry = f_->find(parent, name);
    if (names_.count() == before) {
      if (!entry && doubtful) f_->book().remove_name(parent, name, doubtful.get());
      return entry;
    }
    if (entry) doubtful = entry->node;
  }
}

Result<TreeEntry> ForestStore::lookup(const TreeNode& any, const std::string& name) {
  const auto parent = TRY(own(any));
  if (name != "." && name != "..") {
    TRY(check_name(name));
    if (is_hidden(*parent, name)) return fail_errno(ENOENT, text::shown(name));
    return look(*parent, name);
  }
  const std::shared_lock together(mutex_);
  if (name == ".") return TreeEntry{parent, TRY(f_->attributes(*parent))};
  if (f_->is_top(*parent)) return TreeEntry{parent, TRY(f_->attributes(*parent))};
  const auto names = f_->book().names(*parent);
  const bool root = parent->tree->refusal == EROFS && names.empty();
  if (names.empty() && !root) {
    return fail(ESTALE, "inode {}: no longer in this tree; look it up again", parent->inode());
  }
  const auto above = root ? parent : names.front().parent;
  return TreeEntry{above, TRY(f_->attributes(*above))};
}

bool ForestStore::is_over(const TreeNode& any) const {
  const auto* const node = dynamic_cast<const ForestNode*>(&any);
  const std::shared_lock together(mutex_);
  return node != nullptr && node->tree->refusal == ESTALE && !node->follows;
}

TreeNodeRef ForestStore::remembered(const TreeNode& any, const std::string& name) {
  const auto* parent = dynamic_cast<const ForestNode*>(&any);
  return parent == nullptr || parent->follows ? nullptr : f_->book().find(*parent, name);
}

Result<struct stat> ForestStore::attributes(const TreeNode& any) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  return f_->attributes(*node);
}

Result<timespec> ForestStore::birth(const TreeNode& any) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  return f_->disk().birth(*TRY(bearer(*node)));
}

Result<std::string> ForestStore::read_link(const TreeNode& any) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  return f_->disk().read_link(*TRY(bearer(*node)));
}

Result<struct statvfs> ForestStore::statistics(const TreeNode& any) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  return f_->disk().statistics(*TRY(bearer(*node)));
}

Status ForestStore::access(const TreeNode& any, int mask, const TreeCaller& caller) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  if ((mask & W_OK) != 0 && node->tree->refusal == EROFS) return fail_errno(EROFS, "a snapshot");
  return f_->disk().access(*TRY(bearer(*node)), mask, caller);
}

// --- open files

Result<std::unique_ptr<TreeFile>> ForestStore::opened(const ForestNodeRef& node, int flags,
                                                      const TreeCaller& caller) {
  const auto disk = TRY(bearer(*node));
  auto file = TRY(f_->disk().open(*disk, flags, caller));
  if (node->is_directory()) {
    if (is_plain(*node) || f_->is_top(*node)) return file;
    return std::make_unique<ForestDirectory>(node, std::move(file));
  }
  const bool is_lent = f_->marks().lends(file->descriptor());
  std::optional<struct stat> found;
  if (is_lent && (flags & O_TRUNC) != 0) {
    f_->marks().lender()->release(file->descriptor());
  } else if (is_lent) {
    const Lender::Lent lent = TRY(f_->marks().lender()->open(file->descriptor()));
    ::dup3(lent.file.get(), file->descriptor(), O_CLOEXEC);
    found = lent.attributes;
  }
  return std::make_unique<ForestFile>(f_->book_ref(), node,
                                      HeldFile{std::move(file), flags & kKeptFlags}, found);
}

// A lent file that is about to be cut to nothing: versions and merges go on reading what it was.
// Where that is not to be had any more, nobody has it.
Status ForestStore::fetch_before_loss(ForestNode& node, const TreeCaller& caller) {
  Status fetched = fetch(node, caller);
  return fetched || fetched.error().code != EBUSY ? fetched : ok();
}

// Through a handle that may write, reads and writes must meet.
Status ForestStore::fetch(ForestNode& node, const TreeCaller& caller) {
  if (f_->marks().lender() == nullptr || !is_forked(node)) return ok();
  {
    const std::shared_lock together(mutex_);
    if (!f_->lends(node)) return ok();
    TRY(may_write(node, caller));
  }
  return fetch(node);
}

// Everybody else goes on while the bytes are copied, also with this file, which is lent until then.
Status ForestStore::fetch(ForestNode& node) {
  for (;;) {
    AheadCopies::Key key;
    {
      const std::shared_lock together(mutex_);
      if (!f_->lends(node)) return ok();
      key.inode = node.disk->inode();
    }
    const auto turn = f_->ahead().begin(key);
    ForestDisk::Fetch fetch;
    {
      const std::unique_lock alone(mutex_);
      fetch = TRY(f_->begin_fetch(node, turn));
    }
    if (!fetch.file) continue;
    const Status filled = f_->marks().lender()->fill(fetch.from, fetch.file.get());
    const std::unique_lock alone(mutex_);
    TRY(f_->end_fetch(node, fetch.file.get(), filled.has_value()));
    TRY(filled);
  }
}

// Of a file that is going to be replaced whole, nothing is left to give back to one who may not.
Status ForestStore::may_write(ForestNode& node, const TreeCaller& caller) {
  return f_->disk().access(*node.disk, W_OK, caller);
}

// Merges and comparisons read what its owner may not.
Result<std::unique_ptr<TreeFile>> ForestStore::open_closed(const ForestNodeRef& node, int flags) {
  const std::unique_lock alone(mutex_);
  TRY(f_->keep_shown(*node));
  const OwnerRights lent = TRY(f_->lend(*node, S_IRUSR));
  return opened(node, flags, TreeCaller{});
}

// Opening for writing is no change: the file is unshared when begin_write() is asked.
Result<std::unique_ptr<TreeFile>> ForestStore::open(const TreeNode& any, int flags,
                                                    const TreeCaller& caller) {
  const auto node = TRY(own(any));
  const bool may_change = (flags & O_ACCMODE) != O_RDONLY;
  if ((flags & O_TRUNC) == 0 || node->type() != S_IFREG) {
    if (may_change) TRY(fetch(*node, caller));
    const auto act = [&]() -> Result<std::unique_ptr<TreeFile>> {
      const std::shared_lock together(mutex_);
      if (may_change) TRY(f_->refuse(*node));
      return opened(node, flags, caller);
    };
    auto file = act();
    const bool is_closed = !file && file.error().code == EACCES && node->type() == S_IFREG;
    return is_closed && !may_change && needs_rights(caller) ? open_closed(node, flags)
                                                            : std::move(file);
  }
  TRY(fetch_before_loss(*node, caller));
  const auto prepare = [&]() -> Status {
    if (node->tree->refusal == 0) TRY(may_write(*node, caller));
    return f_->prepare_file(*node, true);
  };
  return change(*node, prepare, [&] { return opened(node, flags, caller); }, true);
}

Result<std::unique_ptr<TreeFile>> ForestStore::open_directory(const TreeNode& any) {
  const auto node = TRY(own(any));
  if (!node->is_directory()) return fail_errno(ENOTDIR, host_path(any));
  const std::shared_lock together(mutex_);
  return opened(node, O_RDONLY | O_DIRECTORY, TreeCaller{});
}

std::optional<bool> ForestStore::has_same_bytes(const TreeNode& one, const TreeNode& other) {
  if (one.type() == S_IFDIR || other.type() == S_IFDIR) {
    const auto first = own(one);
    const auto second = own(other);
    if (!first || !second || one.type() != other.type()) return false;
    const std::shared_lock together(mutex_);
    const auto here = f_->content(**first);
    const auto there = f_->content(**second);
    return here && there && here->directory != nullptr && here->directory == there->directory;
  }
  const auto open = [&](const TreeNode& any) -> Result<Borrowed> {
    const auto node = TRY(own(any));
    const std::shared_lock together(mutex_);
    return TRY(f_->table().borrow(*TRY(bearer(*node))));
  };
  const auto first = open(one);
  const auto second = open(other);
  if (!first || !second) return std::nullopt;
  struct stat here{};
  struct stat there{};
  if (::fstat(first->get(), &here) != 0 || ::fstat(second->get(), &there) != 0) return std::nullopt;
  // What no state has changed all of them share.
  if (here.st_ino == there.st_ino && here.st_dev == there.st_dev) return true;
  if (f_->marks().lender() == nullptr) return std::nullopt;
  return f_->marks().lends_one(first->get(), second->get());
}

std::size_t ForestStore::most_nodes() const { return f_->table().most_nodes(); }

bool ForestStore::may_bypass(const TreeNode& any) const {
  const std::shared_lock together(mutex_);
  const auto* node = dynamic_cast<const ForestNode*>(&any);
  return node != nullptr && node->tree->line == nullptr;
}

Result<Writing> ForestStore::begin_write(const TreeFile& file) {
  const auto* open = dynamic_cast<const ForestFile*>(&file);
  if (open == nullptr) return Writing();
  for (;;) {
    mutex_.lock_shared();
    const auto release = [](void* mutex) {
      static_cast<SharedMutex<Rank::forest>*>(mutex)->unlock_shared();
    };
    Writing writing(&mutex_, release);
    if (open->node()->prepared()) return writing;
    {
      const Writing ended = std::move(writing);
    }
    const auto ahead = copy_ahead(*open->node());
    const auto alone = alone_with({open->node().get()});
    TRY(f_->prepare_file(*open->node(), false));
  }
}

int ForestStore::as(const TreeCaller& caller, const std::function<long()>& call) {
  return f_->disk().as(caller, call);
}

Status ForestStore::read_directory(const TreeFile& directory, off_t offset,
                                   const std::function<bool(const DirectoryEntry&)>& each) {
  const auto* open = dynamic_cast<const ForestDirectory*>(&directory);
  if (open == nullptr) {
    struct stat its{};
    const bool top =
        ::fstat(directory.descriptor(), &its) == 0 && its.st_ino == f_->top_node->inode();
    return f_->disk().read_directory(directory, offset, [&](const DirectoryEntry& entry) {
      if (top && entry.name.starts_with(kHiddenTree)) return true;
      const ino_t number = f_->ids().shown(entry.inode, entry.inode);
      if (number == entry.inode) return each(entry);
      DirectoryEntry seen = entry;
      seen.inode = number;
      return each(seen);
    });
  }
  ForestDirectory::State state;
  {
    const std::shared_lock together(mutex_);
    state = TRY(open->state(*f_, offset));
  }
  return open->read(*f_, state, offset, each);
}

Status ForestStore::fsync(const TreeFile& file, bool data_only) {
  return f_->disk().fsync(file, data_only);
}

ForestCounts ForestStore::counts() const {
  const std::shared_lock together(mutex_);
  return f_->counts;
}

}  // namespace agentfs::trees
