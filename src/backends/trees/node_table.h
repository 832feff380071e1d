// SPDX-License-Identifier: MIT
// Which files of the disk are known, and how each is reached again without holding it open.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "backends/trees/trees.h"
#include "base/file_handle.h"
#include "base/mutex.h"

namespace agentfs::trees {

// An O_PATH descriptor on loan: open as long as anybody holds a copy, whatever the table drops.
class Borrowed {
 public:
  Borrowed() = default;
  explicit Borrowed(UniqueFd fd) : fd_(std::make_shared<const UniqueFd>(std::move(fd))) {}
  int get() const { return fd_->get(); }
  // A path of the file itself, never followed further, for calls that take no descriptor.
  std::string path() const { return fmt::format("/proc/self/fd/{}", get()); }
  explicit operator bool() const { return fd_ != nullptr; }

 private:
  std::shared_ptr<const UniqueFd> fd_;
};

struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  FileHandle handle;
  friend bool operator==(const Identity&, const Identity&) = default;
};

class NodeTable;

// A known file. Keeps its table alive, which keeps nothing of the node but a plain pointer.
class DiskNode final : public TreeNode, public std::enable_shared_from_this<DiskNode> {
 public:
  DiskNode(std::shared_ptr<NodeTable> table, Identity identity, mode_t type)
      : table_(std::move(table)), identity_(std::move(identity)), type_(type) {}
  ~DiskNode() override;
  std::uint64_t device() const override { return identity_.device; }
  std::uint64_t inode() const override { return identity_.inode; }
  mode_t type() const override { return type_; }
  // Made by this store and given no file capabilities since: the host's kernel asks for them before
  // the first write to each file.
  mutable std::atomic<bool> has_no_capabilities = false;

 private:
  friend class NodeTable;
  struct Slot {
    const DiskNode* node = nullptr;
    Borrowed descriptor;
  };
  const std::shared_ptr<NodeTable> table_;
  const Identity identity_;
  const mode_t type_;
  // Under the table's mutex: a descriptor held until the end (there is no handle, or no name any
  // more), or the place in the table's list of recent descriptors, or neither.
  mutable Borrowed held_;
  mutable std::list<Slot>::iterator slot_{};
  mutable bool cached_ = false;
};

// Threads: all. The mutex is never held over a system call, nor when a node or descriptor ends.
class NodeTable : public std::enable_shared_from_this<NodeTable> {
 public:
  static Result<std::shared_ptr<NodeTable>> open(const std::string& directory,
                                                 const TreeOptions& options);
  NodeTable(UniqueFd directory, std::size_t limit)
      : directory_(std::move(directory)), limit_(limit) {}

  // The root's node; the table does not keep it.
  Result<TreeEntry> root();
  // The one node of the file that an O_PATH descriptor stands for.
  Result<TreeEntry> entry(UniqueFd path);
  // The same for a file that is open: no name is looked up, so no other file can come between.
  Result<TreeEntry> entry_of_open(int fd);
  // EXDEV for a node of another store, ESTALE for one that is gone from the disk.
  Result<Borrowed> borrow(const TreeNode& node);
  bool owns(const TreeNode& node) const;
  // What a file can be found by after a restart; no bytes where the disk or the rights have none.
  const FileHandle& handle_of(const TreeNode& node) const;
  std::uint64_t file_identity(const TreeNode& node);  // file::identity(); 0: it cannot be had
  // ESTALE where no file has it any more.
  Result<TreeEntry> find(const FileHandle& handle);
  // The node of that file where somebody holds it; null: nobody does.
  TreeNodeRef known(const Identity& identity) const;
  // To be told of a file whose name was just removed: without a name left, its handle would end
  // with its last descriptor, so its node, if anybody holds one, keeps this.
  void keep_removed(UniqueFd path);
  // The same of a node that is known, with a descriptor of it.
  void keep_removed(const TreeNode& node, const Borrowed& descriptor);
  // To be told of a node without a name that has got one.
  void keep_named(const TreeNode& node);
  // The attributes of what has the name, where it is this node still. As long as a node is known
  // no other file has its number: what has no name left is held.
  std::optional<struct stat> at(const Borrowed& directory, const std::string& name,
                                const TreeNode& node) const;
  // Calls `open` (a descriptor, or -1 with errno), again when descriptors had run out and some
  // could be closed.
  UniqueFd open_with_relief(const std::function<int()>& open);
  bool has_file_handles() const { return handles_; }
  // Without them each node holds a descriptor: a quarter of those that the process may have.
  std::size_t most_nodes() const;

 private:
  friend class DiskNode;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Identity& identity) const;
    std::size_t operator()(const DiskNode* node) const { return (*this)(node->identity_); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const DiskNode* a, const DiskNode* b) const {
      return a->identity_ == b->identity_;
    }
    bool operator()(const Identity& a, const DiskNode* b) const { return a == b->identity_; }
    bool operator()(const DiskNode* a, const Identity& b) const { return a->identity_ == b; }
  };
  using Slots = std::list<DiskNode::Slot>;

  void probe_file_handles();
  Identity identify(int fd, const struct stat& attributes) const;
  std::shared_ptr<DiskNode> intern(const Identity& identity, mode_t type);
  Result<TreeEntry> entry(const struct stat& attributes, int fd,
                          const std::function<UniqueFd()>& path_descriptor);
  Borrowed keep_recent(const DiskNode& node, Borrowed descriptor);
  Borrowed hold(const DiskNode& node, Borrowed descriptor);
  UniqueFd open_handle(const FileHandle& handle);
  bool shed();
  void forget(const DiskNode& node);

  const UniqueFd directory_;  // O_RDONLY: open_by_handle_at() takes no O_PATH
  const std::size_t limit_;
  bool handles_ = false;  // these two: set by open(), constant from then on
  int mount_ = 0;
  mutable Mutex<Rank::store> mutex_;
  // Not of constant nodes: their weak_from_this() converts, which takes and drops a strong
  // reference, and the last one must never be dropped under the mutex.
  std::unordered_set<DiskNode*, Hash, Equal> nodes_ GUARDED_BY(mutex_);
  Slots recent_ GUARDED_BY(mutex_);  // the most recent first
};

}  // namespace agentfs::trees
