// SPDX-License-Identifier: MIT
// Opening a forest; finding, reading and opening files.
#include "backends/trees/forest_store.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backends/trees/forest_directory.h"
#include "base/text.h"

namespace agentfs {
namespace trees {
ForestStore::ForestStore(std::string path, std::unique_ptr<ForestDisk> forest, UniqueFd trash)
    : path_(std::move(path)), f_(std::move(forest)), trash_(std::move(trash)) {}

ForestStore::~ForestStore() = default;

Status ForestStore::load() {
  for (const RawEntry& entry : TRY(list_directory(f_->hidden()))) {
    const auto number = text::number<std::uint32_t>(entry.name);
    if (!number) continue;
    auto line = TRY(Line::load(f_->hidden(), *number));
    next_number_ = std::max(next_number_, *number + 1);
    for (const auto& [sequence, state] : line->snapshots()) {
      next_number_ = std::max(next_number_, state.shown + 1);
    }
    f_->lines[*number] = std::move(line);
  }
  for (const RawEntry& entry : TRY(list_directory(f_->top()))) {
    if (entry.type != S_IFDIR) continue;
    const auto mark = f_->marks().tree(Spot::in(f_->top(), entry.name));
    if (!mark) continue;
    const auto line = f_->lines.find(mark->line);
    if (line == f_->lines.end()) {
      return fail(EBADMSG, "{}: of line {}, which is not there; fsck tells what is left",
                  text::shown(entry.name), mark->line);
    }
    auto tree = std::make_shared<Tree>();
    tree->line = line->second;
    tree->shown = mark->shown;
    tree->epoch = 1;
    f_->set_tree(*TRY(f_->open_entry(f_->top(), entry.name)).node, std::move(tree));
    f_->live[mark->line] = entry.name;
  }
  for (const auto& [number, name] : f_->live) {
    const auto root = TRY(own(*TRY(f_->find(*f_->top_node, name)).node));
    TRY(end_rollback(*f_->lines.at(number), *root));
    TRY(f_->recover(*f_->lines.at(number), *root));
  }
  return ok();
}

// The root that a rollback retires is the one that the state before it was taken of: where that is
// still live, the two never changed places.
Status ForestStore::end_rollback(Line& line, ForestNode& root) {
  if (line.retired().empty()) return ok();
  const std::uint64_t last = *line.retired().rbegin();
  const Line::Snapshot* const before = line.find(last);
  if (before == nullptr || root.disk == nullptr) return ok();
  const Borrowed fd = TRY(f_->borrow(root));
  return before->root == f_->key_of(fd.get()) ? line.remove_retired(last) : ok();
}

Result<ForestNodeRef> ForestStore::own(const TreeNode& node) const {
  const auto* mine = dynamic_cast<const ForestNode*>(&node);
  if (mine == nullptr) return fail(EXDEV, "inode {}: a file of another store", node.inode());
  return std::const_pointer_cast<ForestNode>(mine->shared_from_this());
}

// By names and not by the disk: where a hollow directory reads is not where it is.
std::string ForestStore::host_path(const TreeNode& any) const {
  std::string path;
  const auto* node = dynamic_cast<const ForestNode*>(&any);
  if (node == nullptr) return fmt::format("{}: inode {}", path_, any.inode());
  ForestNodeRef held;
  while (!f_->is_top(*node)) {
    auto names = f_->book().names(*node);
    if (names.empty() || node->removed) {
      return fmt::format("{}: inode {}{}", path_, node->inode(), path);
    }
    path.insert(0, fmt::format("/{}", names.front().name));
    held = std::move(names.front().parent);
    node = held.get();
  }
  return path_ + path;
}

Status ForestStore::use_descriptor(const TreeNode& any, const std::function<Status(int)>& use) {
  const auto node = TRY(own(any));
  if (node->tree->line != nullptr && node->tree->refusal == 0) {
    const std::unique_lock alone(mutex_);
    TRY(f_->keep_parents(*node));
  }
  Borrowed fd;
  {
    const std::shared_lock together(mutex_);
    fd = TRY(f_->table().borrow(*TRY(bearer(*node))));
  }
  return use(fd.get());
}

// The node of the disk that attributes and links are read from.
Result<TreeNodeRef> ForestStore::bearer(ForestNode& node) {
  if (node.disk) return node.disk;
  return TRY(f_->content(node)).shelf;
}

// A name may have been taken away or given to another file between the disk's answer and the
// book's entry: then it is asked for again.
Result<TreeEntry> ForestStore::find(ForestNode& parent, const std::string& name) {
  for (;;) {
    const std::uint64_t before = renames_;
    auto entry = f_->find(parent, name);
    if (renames_ == before) return entry;
    f_->book().remove_name(parent, name);
  }
}

Result<TreeEntry> ForestStore::lookup(const TreeNode& any, const std::string& name) {
  const auto parent = TRY(own(any));
  const std::shared_lock together(mutex_);
  if (name == ".") return TreeEntry{parent, TRY(f_->attributes(*parent))};
  if (name != "..") {
    TRY(check_name(name));
    return find(*parent, name);
  }
  if (f_->is_top(*parent)) return TreeEntry{parent, TRY(f_->attributes(*parent))};
  const auto names = f_->book().names(*parent);
  const bool root = parent->tree->refusal == EROFS && names.empty();
  if (names.empty() && !root) {
    return fail(ESTALE, "inode {}: no longer in this tree; look it up again", parent->inode());
  }
  const auto above = root ? parent : names.front().parent;
  return TreeEntry{above, TRY(f_->attributes(*above))};
}

Result<struct stat> ForestStore::attributes(const TreeNode& any) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  return f_->attributes(*node);
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
  return std::make_unique<ForestFile>(f_->book_ref(), node, std::move(file), flags & kKeptFlags);
}

// Of a file that is going to be replaced whole, nothing is left to give back to one who may not.
Status ForestStore::may_write(ForestNode& node, const TreeCaller& caller) {
  return f_->disk().access(*node.disk, W_OK, caller);
}

// Opening for writing is no change: the file is unshared when begin_write() is asked.
Result<std::unique_ptr<TreeFile>> ForestStore::open(const TreeNode& any, int flags,
                                                    const TreeCaller& caller) {
  const auto node = TRY(own(any));
  if ((flags & O_TRUNC) == 0 || node->type() != S_IFREG) {
    const std::shared_lock together(mutex_);
    if ((flags & O_ACCMODE) != O_RDONLY && node->tree->refusal != 0) {
      return fail_errno(node->tree->refusal, host_path(any));
    }
    return opened(node, flags, caller);
  }
  const auto prepare = [&]() -> Status {
    if (node->tree->refusal == 0) TRY(may_write(*node, caller));
    return f_->prepare_file(*node, true);
  };
  return change(*node, prepare, [&] { return opened(node, flags, caller); });
}

Result<std::unique_ptr<TreeFile>> ForestStore::open_directory(const TreeNode& any) {
  const auto node = TRY(own(any));
  if (!node->is_directory()) return fail_errno(ENOTDIR, host_path(any));
  const std::shared_lock together(mutex_);
  return opened(node, O_RDONLY | O_DIRECTORY, TreeCaller{});
}

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
    const std::unique_lock alone(mutex_);
    TRY(f_->prepare_file(*open->node(), false));
  }
}

Status ForestStore::read_directory(const TreeFile& directory, off_t offset,
                                   const std::function<bool(const DirectoryEntry&)>& each) {
  const auto* open = dynamic_cast<const ForestDirectory*>(&directory);
  if (open == nullptr) return f_->disk().read_directory(directory, offset, each);
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

namespace {

Result<UniqueFd> ensure_directory(int above, const char* name) {
  if (::mkdirat(above, name, 0700) != 0 && errno != EEXIST) return fail_errno(name);
  UniqueFd fd(::openat(above, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(name);
  return fd;
}

Result<UniqueFd> open_hidden(const std::string& hidden, const struct stat& top) {
  TRY(file::make_directories(hidden, 0700));
  UniqueFd fd(::open(hidden.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat attributes{};
  if (!fd || ::fstat(fd.get(), &attributes) != 0) return fail_errno(hidden);
  if (attributes.st_dev == top.st_dev) return fd;
  return fail(EXDEV, "{}: not on the filesystem of the trees; a directory beside them is", hidden);
}

}  // namespace
}  // namespace trees

Result<std::unique_ptr<Forest>> open_forest(const std::string& directory, const std::string& hidden,
                                            const ForestOptions& options) {
  using namespace trees;
  std::error_code error;
  const std::string path = std::filesystem::canonical(directory, error);
  if (error) return fail_errno(error.value(), directory);
  raise_open_files_limit();
  auto table = TRY(NodeTable::open(path, {options.descriptors, options.file_handles}));
  auto root = TRY(table->root());
  const UniqueFd room = TRY(open_hidden(hidden, root.attributes));
  ForestDisk::Parts parts;
  parts.top = UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parts.top) return fail_errno(path);
  parts.hidden = TRY(ensure_directory(room.get(), "lines"));
  parts.ids = TRY(FileIds::open(room.get()));
  parts.table = table;
  parts.disk = std::make_unique<DirectoryTree>(path, table, root.node);
  parts.book = std::make_shared<NodeBook>(root.attributes.st_dev);
  parts.trusted = options.trusted && ::geteuid() == 0;
  auto forest = std::make_unique<ForestDisk>(std::move(parts));
  forest->top_node = forest->book().ensure({.parent = nullptr,
                                            .name = "",
                                            .tree = std::make_shared<Tree>(),
                                            .disk = root.node,
                                            .source = {},
                                            .type = S_IFDIR,
                                            .number = root.attributes.st_ino});
  auto store = std::make_unique<ForestStore>(path, std::move(forest),
                                             TRY(ensure_directory(room.get(), "trash")));
  TRY(store->load());
  return store;
}

}  // namespace agentfs
