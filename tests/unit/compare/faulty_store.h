// SPDX-License-Identifier: MIT
// A store that refuses to change anything from some call on.
#pragma once

#include "backends/tree_store.h"

namespace agentfs::test {

// Hands every call on to `store`, which outlives it. Not shared between threads.
class FaultyStore final : public TreeStore {
 public:
  enum class Fault { once, for_good };
  explicit FaultyStore(TreeStore& store) : store_(store) {}
  // Of the calls from now on that change something the one of this number, from 0, fails (ENOSPC).
  void fail_at(int call, Fault fault) {
    left_ = call;
    fault_ = fault;
    failed_ = false;
  }
  bool failed() const { return failed_; }

  TreeNodeRef root() override { return store_.root(); }
  std::string host_path(const TreeNode& node) const override { return store_.host_path(node); }
  Status use_descriptor(const TreeNode& node, const std::function<Status(int)>& use) override {
    return store_.use_descriptor(node, use);
  }
  std::uint64_t identity(const TreeNode& node) override { return store_.identity(node); }
  Result<TreeEntry> lookup(const TreeNode& parent, const std::string& name) override {
    return store_.lookup(parent, name);
  }
  Result<struct stat> attributes(const TreeNode& node) override { return store_.attributes(node); }
  Result<struct stat> set_attributes(const TreeNode& node, const TreeFile* open,
                                     const SetAttributes& wanted, const TreeCaller& by) override {
    TRY(pass());
    return store_.set_attributes(node, open, wanted, by);
  }
  Result<std::string> read_link(const TreeNode& node) override { return store_.read_link(node); }
  Result<TreeEntry> make_node(const TreeNode& parent, const std::string& name, mode_t mode,
                              dev_t device, const TreeCaller& by) override {
    TRY(pass());
    return store_.make_node(parent, name, mode, device, by);
  }
  Result<TreeEntry> make_directory(const TreeNode& parent, const std::string& name, mode_t mode,
                                   const TreeCaller& by) override {
    TRY(pass());
    return store_.make_directory(parent, name, mode, by);
  }
  Result<TreeEntry> make_link(const TreeNode& parent, const std::string& name,
                              const std::string& target, const TreeCaller& by) override {
    TRY(pass());
    return store_.make_link(parent, name, target, by);
  }
  Result<TreeEntry> link(const TreeNode& node, const TreeNode& parent, const std::string& name,
                         const TreeCaller& by) override {
    TRY(pass());
    return store_.link(node, parent, name, by);
  }
  Status unlink(const TreeNode& parent, const std::string& name, const TreeCaller& by) override {
    TRY(pass());
    return store_.unlink(parent, name, by);
  }
  Status remove_directory(const TreeNode& parent, const std::string& name,
                          const TreeCaller& by) override {
    TRY(pass());
    return store_.remove_directory(parent, name, by);
  }
  Status rename(const TreeNode& from, const std::string& name, const TreeNode& to,
                const std::string& new_name, unsigned flags, const TreeCaller& by) override {
    TRY(pass());
    return store_.rename(from, name, to, new_name, flags, by);
  }
  Result<Created> create(const TreeNode& parent, const std::string& name, int flags, mode_t mode,
                         const TreeCaller& by) override {
    TRY(pass());
    return store_.create(parent, name, flags, mode, by);
  }
  Result<Created> create_nameless(const TreeNode& directory, int flags, mode_t mode,
                                  const TreeCaller& by) override {
    TRY(pass());
    return store_.create_nameless(directory, flags, mode, by);
  }
  Result<std::unique_ptr<TreeFile>> open(const TreeNode& node, int flags,
                                         const TreeCaller& by) override {
    return store_.open(node, flags, by);
  }
  Result<std::unique_ptr<TreeFile>> open_directory(const TreeNode& node) override {
    return store_.open_directory(node);
  }
  Status read_directory(const TreeFile& directory, off_t offset,
                        const std::function<bool(const DirectoryEntry&)>& each) override {
    return store_.read_directory(directory, offset, each);
  }
  Status fsync(const TreeFile& file, bool data_only) override {
    return store_.fsync(file, data_only);
  }
  Result<struct statvfs> statistics(const TreeNode& node) override {
    return store_.statistics(node);
  }
  Status access(const TreeNode& node, int mask, const TreeCaller& by) override {
    return store_.access(node, mask, by);
  }
  int as(const TreeCaller& caller, const std::function<long()>& call) override {
    return store_.as(caller, call);
  }
  Status set_xattr(const TreeNode& node, const std::string& name, std::string_view value, int flags,
                   const TreeCaller& by) override {
    return store_.set_xattr(node, name, value, flags, by);
  }
  Result<std::string> get_xattr(const TreeNode& node, const std::string& name) override {
    return store_.get_xattr(node, name);
  }
  Result<std::string> list_xattr(const TreeNode& node) override { return store_.list_xattr(node); }
  Status remove_xattr(const TreeNode& node, const std::string& name,
                      const TreeCaller& by) override {
    return store_.remove_xattr(node, name, by);
  }

 private:
  Status pass() {
    if (left_-- > 0) return ok();
    if (fault_ == Fault::once && left_ < -1) return ok();
    failed_ = true;
    return fail(ENOSPC, "disk: full");
  }

  TreeStore& store_;
  int left_ = 0;
  bool failed_ = false;
  Fault fault_ = Fault::once;
};

}  // namespace agentfs::test
