// SPDX-License-Identifier: MIT
#include "backends/trees/node_table.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/file_times.h"

namespace agentfs::trees {

DiskNode::~DiskNode() { table_->forget(*this); }

std::size_t NodeTable::Hash::operator()(const Identity& identity) const {
  // Inode numbers come in runs; the multiplication (2^64 by the golden ratio) spreads them.
  return static_cast<std::size_t>((identity.inode ^ (identity.device << 40)) *
                                  0x9E3779B97F4A7C15ull);
}

Result<std::shared_ptr<NodeTable>> NodeTable::open(const std::string& directory,
                                                   const TreeOptions& options) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(directory);
  learn_times(fd.get());
  auto table = std::make_shared<NodeTable>(std::move(fd), options.descriptors);
  if (options.file_handles) table->probe_file_handles();
  return table;
}

void NodeTable::probe_file_handles() {
  const FileHandle handle = read_handle(directory_.get(), mount_);
  handles_ = !handle.bytes.empty() && open_handle(handle);
}

std::size_t NodeTable::most_nodes() const {
  rlimit limit{};
  if (handles_ || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return std::max<std::size_t>(limit.rlim_cur / 4, 1);
}

UniqueFd NodeTable::open_handle(const FileHandle& handle) {
  return open_with_relief([&] {
    return agentfs::open_handle(directory_.get(), handle, O_PATH | O_NOFOLLOW | O_CLOEXEC)
        .release();
  });
}

Identity NodeTable::identify(int fd, const struct stat& attributes) const {
  Identity identity{attributes.st_dev, attributes.st_ino, {}};
  if (!handles_) return identity;
  int mount = 0;
  FileHandle handle = read_handle(fd, mount);
  // A handle is opened through the root's mount: what lies on another one keeps a descriptor.
  if (mount == mount_) identity.handle = std::move(handle);
  return identity;
}

const FileHandle& NodeTable::handle_of(const TreeNode& node) const {
  return static_cast<const DiskNode&>(node).identity_.handle;
}

std::uint64_t NodeTable::file_identity(const TreeNode& node) {
  if (!owns(node)) return 0;
  if (const FileHandle& handle = handle_of(node); !handle.bytes.empty()) {
    return file::identity(handle.bytes);
  }
  const auto fd = borrow(node);
  return fd ? file::identity(fd->get()) : 0;
}

Result<TreeEntry> NodeTable::find(const FileHandle& handle) {
  UniqueFd fd = open_handle(handle);
  if (!fd) return fail_errno("a file by its handle");
  return entry(std::move(fd));
}

TreeNodeRef NodeTable::known(const Identity& identity) const {
  const Lock lock(mutex_);
  const auto found = nodes_.find(identity);
  return found == nodes_.end() ? nullptr : (*found)->weak_from_this().lock();
}

Result<TreeEntry> NodeTable::root() {
  UniqueFd fd(::open(fmt::format("/proc/self/fd/{}", directory_.get()).c_str(),
                     O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("/proc/self/fd");
  return entry(std::move(fd));
}

Result<TreeEntry> NodeTable::entry(UniqueFd path) {
  struct stat attributes{};
  if (::fstat(path.get(), &attributes) != 0) return fail_errno("fstat");
  return entry(attributes, path.get(), [&] { return std::move(path); });
}

Result<TreeEntry> NodeTable::entry_of_open(int fd) {
  struct stat attributes{};
  if (::fstat(fd, &attributes) != 0) return fail_errno("fstat");
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  return entry(attributes, fd, [&] {
    return open_with_relief([&] { return ::open(path.c_str(), O_PATH | O_CLOEXEC); });
  });
}

Result<TreeEntry> NodeTable::entry(const struct stat& attributes, int fd,
                                   const std::function<UniqueFd()>& path_descriptor) {
  const Identity identity = identify(fd, attributes);
  auto node = intern(identity, attributes.st_mode & S_IFMT);
  Borrowed descriptor;
  if (UniqueFd path = path_descriptor()) {
    descriptor = Borrowed(std::move(path));
  } else if (identity.handle.bytes.empty()) {
    return fail_errno("a descriptor for the node");
  }
  if (identity.handle.bytes.empty()) {
    hold(*node, std::move(descriptor));
  } else if (descriptor) {
    keep_recent(*node, std::move(descriptor));
  }
  return TreeEntry{std::move(node), attributes};
}

std::shared_ptr<DiskNode> NodeTable::intern(const Identity& identity, mode_t type) {
  const Lock lock(mutex_);
  const auto known = nodes_.find(identity);
  if (known != nodes_.end()) {
    // A node whose last holder is leaving waits for the mutex in forget(): it cannot be had again.
    if (auto node = (*known)->weak_from_this().lock()) return node;
    nodes_.erase(known);
  }
  auto node = std::make_shared<DiskNode>(shared_from_this(), identity, type);
  nodes_.insert(node.get());
  return node;
}

bool NodeTable::owns(const TreeNode& node) const {
  return static_cast<const DiskNode&>(node).table_.get() == this;
}

Result<Borrowed> NodeTable::borrow(const TreeNode& any_node) {
  const auto& node = static_cast<const DiskNode&>(any_node);
  if (!owns(node)) return fail(EXDEV, "inode {}: a file of another tree", node.inode());
  {
    const Lock lock(mutex_);
    if (node.held_) return node.held_;
    if (node.cached_) {
      recent_.splice(recent_.begin(), recent_, node.slot_);
      return node.slot_->descriptor;
    }
  }
  // Only a node whose entry() has failed half-way has neither a handle nor a descriptor.
  if (node.identity_.handle.bytes.empty()) return fail_errno(ESTALE, "a node without descriptor");
  UniqueFd fd = open_handle(node.identity_.handle);
  if (!fd) return fail_errno(fmt::format("inode {}", node.inode()));
  return keep_recent(node, Borrowed(std::move(fd)));
}

Borrowed NodeTable::keep_recent(const DiskNode& node, Borrowed descriptor) {
  Slots dropped;  // closed after the lock
  const Lock lock(mutex_);
  if (node.held_) return node.held_;
  if (node.cached_) {
    recent_.splice(recent_.begin(), recent_, node.slot_);
    return node.slot_->descriptor;
  }
  recent_.push_front({&node, descriptor});
  node.slot_ = recent_.begin();
  node.cached_ = true;
  if (recent_.size() > limit_) {
    recent_.back().node->cached_ = false;
    dropped.splice(dropped.end(), recent_, std::prev(recent_.end()));
  }
  return descriptor;
}

Borrowed NodeTable::hold(const DiskNode& node, Borrowed descriptor) {
  Slots dropped;
  const Lock lock(mutex_);
  if (node.held_) return node.held_;
  node.held_ = std::move(descriptor);
  if (node.cached_) dropped.splice(dropped.end(), recent_, node.slot_);
  node.cached_ = false;
  return node.held_;
}

void NodeTable::keep_removed(UniqueFd path) {
  struct stat attributes{};
  if (!handles_ || !path || ::fstat(path.get(), &attributes) != 0) return;
  // Some disks count a removed directory as one link.
  if (attributes.st_nlink != 0 && !S_ISDIR(attributes.st_mode)) return;
  const Identity identity = identify(path.get(), attributes);
  std::shared_ptr<DiskNode> node;
  {
    const Lock lock(mutex_);
    const auto known = nodes_.find(identity);
    if (known != nodes_.end()) node = (*known)->weak_from_this().lock();
  }
  if (node) hold(*node, Borrowed(std::move(path)));
}

void NodeTable::keep_removed(const TreeNode& node, const Borrowed& descriptor) {
  struct stat attributes{};
  if (!handles_ || ::fstat(descriptor.get(), &attributes) != 0) return;
  const bool is_gone = attributes.st_nlink == 0 || S_ISDIR(attributes.st_mode);
  if (is_gone) hold(static_cast<const DiskNode&>(node), descriptor);
}

void NodeTable::keep_named(const TreeNode& any_node) {
  const auto& node = static_cast<const DiskNode&>(any_node);
  Borrowed descriptor;
  {
    const Lock lock(mutex_);
    if (node.identity_.handle.bytes.empty()) return;
    std::swap(descriptor, node.held_);
  }
  if (descriptor) keep_recent(node, std::move(descriptor));
}

std::optional<struct stat> NodeTable::at(const Borrowed& directory, const std::string& name,
                                         const TreeNode& node) const {
  struct stat now{};
  if (::fstatat(directory.get(), name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  const bool is_it = now.st_dev == node.device() && now.st_ino == node.inode();
  return is_it ? std::optional(now) : std::nullopt;
}

UniqueFd NodeTable::open_with_relief(const std::function<int()>& open) {
  UniqueFd fd(open());
  if (!fd && errno == EMFILE && shed()) fd = UniqueFd(open());
  return fd;
}

bool NodeTable::shed() {
  Slots dropped;
  const Lock lock(mutex_);
  for (const DiskNode::Slot& slot : recent_) slot.node->cached_ = false;
  dropped.swap(recent_);
  return !dropped.empty();
}

void NodeTable::forget(const DiskNode& node) {
  Slots dropped;
  const Lock lock(mutex_);
  const auto known = nodes_.find(&node);
  if (known != nodes_.end() && *known == &node) nodes_.erase(known);
  if (node.cached_) dropped.splice(dropped.end(), recent_, node.slot_);
}

}  // namespace agentfs::trees
