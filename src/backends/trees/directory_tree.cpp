// SPDX-License-Identifier: MIT
// Finding and opening.
#include "backends/trees/directory_tree.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "backends/trees/directory_reader.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs {
namespace trees {
namespace {

// As in trees.h; the others would change what is opened, and the daemon opens a known file.
constexpr int kStripped = O_APPEND | O_DIRECT | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK |
                          O_ASYNC | (O_TMPFILE & ~O_DIRECTORY) | (O_PATH);

// Set by the kernel where the file is opened to be executed, which takes no right to read it.
constexpr int kToExecute = 040;

bool same_file(const struct stat& attributes, const TreeNode& node) {
  return attributes.st_dev == node.device() && attributes.st_ino == node.inode();
}

// Whether going up from a directory arrives at the root, not at the top of the disk.
bool is_below(int directory, const TreeNode& root) {
  struct stat here{};
  if (::fstat(directory, &here) != 0) return false;
  UniqueFd at;
  for (int from = directory; !same_file(here, root); from = at.get()) {
    UniqueFd above(::openat(from, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat there{};
    if (!above || ::fstat(above.get(), &there) != 0) return false;
    if (there.st_dev == here.st_dev && there.st_ino == here.st_ino) return false;
    here = there;
    at = std::move(above);
  }
  return true;
}

}  // namespace

// Each file that a client has open is open here, and all clients together have more than one may.
void raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto most = file::read("/proc/sys/fs/nr_open");
  if (const auto number = text::number<rlim_t>(text::trim(most.value_or("")))) {
    const rlimit all{*number, *number};
    if (limit.rlim_max < *number && ::setrlimit(RLIMIT_NOFILE, &all) == 0) return;
  }
  if (limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Status check_name(const std::string& name) {
  if (name.empty() || name == "." || name == "..") {
    return fail(EINVAL, "\"{}\": not a name of an entry; a word other than . and .. is", name);
  }
  if (name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    return fail(EINVAL, "{}: a '/' or NUL in a name; a single component has neither",
                text::shown(name));
  }
  return ok();
}

// The kernel knows where a file is as long as it remembers one of its names; of a file opened by
// handle it may not, and then only the inode can be told.
std::string DirectoryTree::host_path(const TreeNode& node) const {
  if (&node == root_.get()) return path_;
  const auto borrowed = table_->borrow(node);
  std::string path = borrowed ? descriptor_path(borrowed->get()) : std::string();
  struct stat attributes{};
  if (::lstat(path.c_str(), &attributes) == 0 && same_file(attributes, node)) return path;
  return fmt::format("{}: inode {}", path_, node.inode());
}

Status DirectoryTree::use_descriptor(const TreeNode& node, const std::function<Status(int)>& use) {
  const Borrowed fd = TRY(table_->borrow(node));
  return use(fd.get());
}

Result<TreeEntry> DirectoryTree::entry_at(const Borrowed& directory, const std::string& name) {
  UniqueFd fd = table_->open_with_relief(
      [&] { return ::openat(directory.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC); });
  if (!fd) return fail_errno(text::shown(name));
  return table_->entry(std::move(fd));
}

Result<TreeEntry> DirectoryTree::entry_of(const TreeNode& node) {
  const auto attributes = TRY(this->attributes(node));
  // Nodes are made by the table alone, which never makes a constant one.
  auto self = static_cast<const DiskNode&>(node).shared_from_this();
  return TreeEntry{std::const_pointer_cast<DiskNode>(std::move(self)), attributes};
}

Result<TreeEntry> DirectoryTree::parent_of(const TreeNode& node) {
  if (&node == root_.get()) return entry_of(node);
  const Borrowed directory = TRY(table_->borrow(node));
  auto above = TRY(entry_at(directory, ".."));
  const Borrowed parent = TRY(table_->borrow(*above.node));
  if (is_below(parent.get(), *root_)) return above;
  return fail(ESTALE, "inode {}: no longer in this tree; look it up again", node.inode());
}

Result<TreeEntry> DirectoryTree::lookup(const TreeNode& parent, const std::string& name) {
  if (name == "..") return parent_of(parent);
  if (name == ".") return entry_of(parent);
  TRY(check_name(name));
  return entry_at(TRY(table_->borrow(parent)), name);
}

Result<struct stat> DirectoryTree::attributes(const TreeNode& node) {
  const Borrowed fd = TRY(table_->borrow(node));
  struct stat attributes{};
  if (::fstat(fd.get(), &attributes) != 0) return fail_errno(host_path(node));
  return attributes;
}

Result<timespec> DirectoryTree::birth(const TreeNode& node) {
  const Borrowed fd = TRY(table_->borrow(node));
  struct statx found{};
  if (::statx(fd.get(), "", AT_EMPTY_PATH, STATX_BTIME, &found) != 0) {
    return fail_errno(host_path(node));
  }
  if ((found.stx_mask & STATX_BTIME) == 0) return fail_errno(ENOTSUP, host_path(node));
  return timespec{.tv_sec = found.stx_btime.tv_sec,
                  .tv_nsec = static_cast<long>(found.stx_btime.tv_nsec)};
}

Result<std::string> DirectoryTree::read_link(const TreeNode& node) {
  if (node.type() != S_IFLNK) return fail(EINVAL, "{}: not a symbolic link", host_path(node));
  const Borrowed fd = TRY(table_->borrow(node));
  auto target = link_target(fd.get(), "");
  if (!target) return fail_errno(host_path(node));
  return std::move(*target);
}

Result<std::unique_ptr<TreeFile>> DirectoryTree::open(const TreeNode& node, int flags,
                                                      const TreeCaller& caller) {
  const mode_t type = node.type();
  if (type == S_IFLNK) return fail_errno(ELOOP, host_path(node));
  if (type != S_IFREG && type != S_IFDIR) {
    return fail(ENXIO, "{}: a special file; only its kernel can open it", host_path(node));
  }
  const Borrowed fd = TRY(table_->borrow(node));
  const std::string path = fd.path();
  const int kept = (flags & ~kStripped) | O_CLOEXEC | O_NOCTTY;
  if ((flags & kToExecute) != 0) TRY(access(node, X_OK, caller));
  const TreeCaller& opener = (flags & kToExecute) != 0 ? TreeCaller{} : caller;
  struct stat before{};  // matters to O_TRUNC, which may drop set-ID bits
  if ((flags & O_TRUNC) != 0) ::fstat(fd.get(), &before);
  UniqueFd opened;
  const auto open_file = [&] {
    opened = table_->open_with_relief([&] { return ::open(path.c_str(), kept); });
    return opened.get();
  };
  const int code = as_caller(daemon_, opener, open_file, CallerScope::groups_for(before.st_mode));
  if (code != 0) return fail_errno(code, host_path(node));
  if (type == S_IFREG) return std::make_unique<OpenFile>(std::move(opened));
  const bool is_root = &node == root_.get();
  return std::make_unique<OpenDirectory>(
      std::move(opened), is_root ? std::optional<ino_t>(node.inode()) : std::nullopt);
}

Result<std::unique_ptr<TreeFile>> DirectoryTree::open_directory(const TreeNode& node) {
  if (node.type() != S_IFDIR) return fail_errno(ENOTDIR, host_path(node));
  return open(node, O_RDONLY | O_DIRECTORY, TreeCaller{});
}

Result<TreeStore::Created> DirectoryTree::open_existing(const Borrowed& directory,
                                                        const std::string& name, int flags,
                                                        const TreeCaller& caller) {
  Created created;
  created.entry = TRY(entry_at(directory, name));
  if (created.entry.node->type() == S_IFDIR) return fail_errno(EISDIR, text::shown(name));
  created.file = TRY(open(*created.entry.node, flags, caller));
  created.entry.attributes = TRY(attributes(*created.entry.node));
  return created;
}

// With O_TMPFILE its name is that of the directory.
Result<UniqueFd> DirectoryTree::open_new(const Borrowed& directory, const NewFile& made,
                                         const TreeCaller& caller) {
  const int flags = made.flags | O_CLOEXEC | O_NOCTTY;
  UniqueFd fd;
  const auto create_file = [&] {
    const UmaskScope umask(caller.umask);
    const mode_t mode = umask.masked(made.mode) & kPermissions;
    fd = table_->open_with_relief(
        [&] { return ::openat(directory.get(), made.name.c_str(), flags, mode); });
    return fd.get();
  };
  const int code = as_caller(daemon_, caller, create_file, CallerScope::groups_for(made.mode));
  if (code != 0) return fail_errno(code, text::shown(made.name));
  return fd;
}

Result<TreeStore::Created> DirectoryTree::created(UniqueFd fd) {
  Created created;
  created.entry = TRY(table_->entry_of_open(fd.get()));
  static_cast<DiskNode&>(*created.entry.node).has_no_capabilities = true;
  created.file = std::make_unique<OpenFile>(std::move(fd));
  return created;
}

// Creating is always exclusive, so that it cannot open a fifo or follow a link that came in
// between; a file that exists is then opened as what it is.
Result<TreeStore::Created> DirectoryTree::create(const TreeNode& parent, const std::string& name,
                                                 int flags, mode_t mode, const TreeCaller& caller) {
  TRY(check_name(name));
  const Borrowed directory = TRY(table_->borrow(parent));
  const int kept = (flags & ~(kStripped | O_DIRECTORY)) | O_CREAT | O_EXCL;
  for (;;) {
    auto fd = open_new(directory, {name, kept, mode}, caller);
    if (fd) return created(std::move(*fd));
    if ((flags & O_EXCL) != 0 || fd.error().code != EEXIST) return std::unexpected(fd.error());
    auto existing = open_existing(directory, name, flags, caller);
    if (existing || existing.error().code != ENOENT) return existing;
  }
}

Result<TreeStore::Created> DirectoryTree::create_nameless(const TreeNode& parent, int flags,
                                                          mode_t mode, const TreeCaller& caller) {
  const Borrowed directory = TRY(table_->borrow(parent));
  const int kept = (flags & ~kStripped) | (flags & O_EXCL) | O_TMPFILE;
  auto fd = open_new(directory, {".", kept, mode}, caller);
  if (!fd) return fail_errno(fd.error().code, host_path(parent));
  Created made = TRY(created(std::move(*fd)));
  table_->keep_removed(*made.entry.node, TRY(table_->borrow(*made.entry.node)));
  return made;
}

Status DirectoryTree::read_directory(const TreeFile& directory, off_t offset,
                                     const std::function<bool(const DirectoryEntry&)>& each) {
  const auto* const opened = dynamic_cast<const OpenDirectory*>(&directory);
  if (opened == nullptr) return fail(ENOTDIR, "an open file: not a directory; open_directory()");
  return opened->read(offset, each);
}

}  // namespace trees

Result<std::unique_ptr<TreeStore>> open_tree_store(const std::string& directory) {
  return open_tree_store(directory, TreeOptions{});
}

Result<std::unique_ptr<TreeStore>> open_tree_store(const std::string& directory,
                                                   const TreeOptions& options) {
  trees::raise_open_files_limit();
  std::error_code error;
  const std::string path = std::filesystem::canonical(directory, error);
  if (error) return fail_errno(error.value(), directory);
  auto table = TRY(trees::NodeTable::open(path, options));
  auto root = TRY(table->root());
  return std::make_unique<trees::DirectoryTree>(path, std::move(table), std::move(root.node));
}

}  // namespace agentfs
