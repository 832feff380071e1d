// SPDX-License-Identifier: MIT
// The store over a plain directory.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "backends/trees/caller_scope.h"
#include "backends/trees/node_table.h"

namespace agentfs::trees {

// Of rename(): whether another file may lose the new name.
constexpr bool may_replace(unsigned flags) { return (flags & ~unsigned{RENAME_WHITEOUT}) == 0; }

// Threads: all; it has no state but the node table's. Each operation borrows the descriptors of
// its nodes first, as the daemon, and then makes its one system call, as the caller.
class DirectoryTree final : public TreeStore {
 public:
  // `path` is absolute and without links.
  DirectoryTree(std::string path, std::shared_ptr<NodeTable> table, TreeNodeRef root)
      : path_(std::move(path)), table_(std::move(table)), root_(std::move(root)) {}

  std::size_t most_nodes() const override { return table_->most_nodes(); }
  TreeNodeRef root() override { return root_; }
  std::string host_path(const TreeNode& node) const override;
  Status use_descriptor(const TreeNode& node, const std::function<Status(int)>& use) override;
  std::uint64_t identity(const TreeNode& node) override { return table_->file_identity(node); }
  Result<TreeEntry> lookup(const TreeNode& parent, const std::string& name) override;
  Result<struct stat> attributes(const TreeNode& node) override;
  Result<timespec> birth(const TreeNode& node) override;
  Result<struct stat> set_attributes(const TreeNode& node, const TreeFile* open,
                                     const SetAttributes& wanted, const TreeCaller&) override;
  Result<std::string> read_link(const TreeNode& node) override;
  Result<TreeEntry> make_node(const TreeNode& parent, const std::string& name, mode_t mode,
                              dev_t device, const TreeCaller&) override;
  Result<TreeEntry> make_directory(const TreeNode& parent, const std::string& name, mode_t mode,
                                   const TreeCaller&) override;
  Result<TreeEntry> make_link(const TreeNode& parent, const std::string& name,
                              const std::string& target, const TreeCaller&) override;
  Result<TreeEntry> link(const TreeNode& node, const TreeNode& parent, const std::string& name,
                         const TreeCaller&) override;
  Status unlink(const TreeNode& parent, const std::string& name, const TreeCaller&) override;
  Status remove_directory(const TreeNode& parent, const std::string& name,
                          const TreeCaller&) override;
  // Either, by the flags of unlinkat(2); `known`: what has the name, as far as the caller knows, or
  // null. It spares opening it.
  Status remove(const TreeNode& parent, const std::string& name, int flags, const TreeCaller&,
                const TreeNode* known);
  Status rename(const TreeNode& from, const std::string& name, const TreeNode& to,
                const std::string& new_name, unsigned flags, const TreeCaller&) override;
  Result<Created> create(const TreeNode& parent, const std::string& name, int flags, mode_t mode,
                         const TreeCaller&) override;
  Result<Created> create_nameless(const TreeNode& directory, int flags, mode_t mode,
                                  const TreeCaller&) override;
  Result<std::unique_ptr<TreeFile>> open(const TreeNode& node, int flags,
                                         const TreeCaller&) override;
  Result<std::unique_ptr<TreeFile>> open_directory(const TreeNode& node) override;
  Status read_directory(const TreeFile& directory, off_t offset,
                        const std::function<bool(const DirectoryEntry&)>& each) override;
  Status fsync(const TreeFile& file, bool data_only) override;
  Result<struct statvfs> statistics(const TreeNode& node) override;
  Status expel(const TreeNode& parent, const std::string& name, int directory,
               const std::string& new_name, const TreeCaller&) override;
  Status access(const TreeNode& node, int mask, const TreeCaller&) override;
  int as(const TreeCaller& caller, const std::function<long()>& call) override;
  Status set_xattr(const TreeNode& node, const std::string& name, std::string_view value, int flags,
                   const TreeCaller&) override;
  Result<std::string> get_xattr(const TreeNode& node, const std::string& name) override;
  Result<std::string> list_xattr(const TreeNode& node) override;
  Status remove_xattr(const TreeNode& node, const std::string& name, const TreeCaller&) override;

 private:
  Result<TreeEntry> parent_of(const TreeNode& node);
  Result<TreeEntry> entry_of(const TreeNode& node);
  Result<TreeEntry> entry_at(const Borrowed& directory, const std::string& name);
  // Of a file about to lose a name, where its node may have nothing else to reach it by.
  UniqueFd open_victim(const Borrowed& directory, const std::string& name);
  struct NewFile {
    const std::string& name;
    int flags;
    mode_t mode;
  };
  Result<UniqueFd> open_new(const Borrowed& directory, const NewFile& made, const TreeCaller&);
  Result<Created> created(UniqueFd fd);
  Result<Created> open_existing(const Borrowed& directory, const std::string& name, int flags,
                                const TreeCaller&);
  int change_owner(const Borrowed& node, const SetAttributes& wanted, const TreeCaller&) const;
  int change_mode(const Borrowed& node, mode_t mode, const TreeCaller&) const;
  int change_size(const Borrowed& node, const TreeFile* open, off_t size, const TreeCaller&) const;
  int change_times(const Borrowed& node, const SetAttributes& wanted, const TreeCaller&) const;
  // Makes something by `call`, given the parent's descriptor and the mode left by the umask.
  Result<TreeEntry> make(const TreeNode& parent, const std::string& name, mode_t mode,
                         const TreeCaller& caller, const std::function<long(int, mode_t)>& call);

  const std::string path_;
  const std::shared_ptr<NodeTable> table_;
  const TreeNodeRef root_;
  const DaemonIdentity daemon_ = DaemonIdentity::current();
};

// EINVAL for what is not a single component, "." and ".." included.
Status check_name(const std::string& name);

// Of this process, as far as it may by itself.
void raise_open_files_limit();

}  // namespace agentfs::trees
