// SPDX-License-Identifier: MIT
// The store over a directory of trees that can be forked.
#pragma once

#include <unistd.h>

#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "backends/trees/forest_disk.h"
#include "base/reserve.h"

namespace agentfs::trees {

// Operations hold the lock with others; the first change of something since a snapshot, and what
// works on whole trees, holds it alone. Each takes it once and calls nobody who would.
class ForestStore final : public Forest {
 public:
  ForestStore(std::string path, std::string reserve, std::unique_ptr<ForestDisk>, UniqueFd trash);
  ~ForestStore() override;
  // What cannot be known of a tree or line makes that tree unreadable, and is told in the log.
  Status load();

  TreeNodeRef root() override { return f_->top_node; }
  std::string host_path(const TreeNode& node) const override;
  Status use_descriptor(const TreeNode& node, const std::function<Status(int)>& use) override;
  std::uint64_t identity(const TreeNode& node) override;
  Result<TreeEntry> lookup(const TreeNode& parent, const std::string& name) override;
  TreeNodeRef remembered(const TreeNode& parent, const std::string& name) override;
  void follow_rollbacks() override { follows_ = true; }
  Followers followers(const TreeNode& root) override;
  bool is_over(const TreeNode& node) const override;
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
  Status rename(const TreeNode& from, const std::string& name, const TreeNode& to,
                const std::string& new_name, unsigned flags, const TreeCaller&) override;
  Result<TreeEntry> adopt(int directory, const std::string& name, const TreeNode& parent,
                          const std::string& new_name) override;
  Status expel(const TreeNode& parent, const std::string& name, int directory,
               const std::string& new_name, const TreeCaller&) override;
  Result<Created> create(const TreeNode& parent, const std::string& name, int flags, mode_t mode,
                         const TreeCaller&) override;
  Result<Created> create_nameless(const TreeNode& directory, int flags, mode_t mode,
                                  const TreeCaller&) override;
  Result<std::unique_ptr<TreeFile>> open(const TreeNode& node, int flags,
                                         const TreeCaller&) override;
  Result<std::unique_ptr<TreeFile>> open_directory(const TreeNode& node) override;
  std::size_t most_nodes() const override;
  std::optional<bool> has_same_bytes(const TreeNode& one, const TreeNode& other) override;
  bool may_bypass(const TreeNode& node) const override;
  Result<Writing> begin_write(const TreeFile& file) override;
  int as(const TreeCaller& caller, const std::function<long()>& call) override;
  Status read_directory(const TreeFile& directory, off_t offset,
                        const std::function<bool(const DirectoryEntry&)>& each) override;
  Status fsync(const TreeFile& file, bool data_only) override;
  Result<struct statvfs> statistics(const TreeNode& node) override;
  Status access(const TreeNode& node, int mask, const TreeCaller&) override;
  Status set_xattr(const TreeNode& node, const std::string& name, std::string_view value, int flags,
                   const TreeCaller&) override;
  Result<std::string> get_xattr(const TreeNode& node, const std::string& name) override;
  Result<std::string> list_xattr(const TreeNode& node) override;
  Status remove_xattr(const TreeNode& node, const std::string& name, const TreeCaller&) override;

  Result<SnapshotId> snapshot(const std::string& tree, const std::string& label) override;
  Result<SnapshotId> fork(const std::string& tree, const std::string& name) override;
  Status fork(SnapshotId state, const std::string& name) override;
  Result<SnapshotId> rollback(const std::string& tree, SnapshotId state,
                              const std::string& label) override;
  Status drop(const std::string& tree, const std::function<Status()>& tell) override;
  Status drop(SnapshotId state) override;
  Result<std::size_t> collect() override;
  bool is_loose() const override { return loose_; }
  Result<TreeNodeRef> snapshot_root(SnapshotId state) override;
  Result<TreeEntry> tree(const std::string& name, bool make) override;
  std::vector<TreeInfo> family() const override;
  std::optional<TreeInfo> info(const std::string& name) const override;
  std::optional<TreeInfo> info(std::uint32_t number) const override;
  Status solidify(const TreeNode& directory, bool whole) override;
  bool is_same(const TreeNode& before, const TreeNode& after) override;
  Result<std::vector<std::string>> names_that_differ(const TreeNode&, const TreeNode&) override;
  Status compare(const TreeNode& before, const TreeNode& after,
                 const std::function<bool(const Difference&)>& each) override;
  ForestCounts counts() const override;

 private:
  struct Pair;
  // The forest's own nodes are never constant. With no lock held.
  Result<ForestNodeRef> own(const TreeNode& node);
  template <class Prepare, class Act>
  auto change(ForestNode& node, const Prepare& prepare, const Act& act, bool empties = false)
      -> decltype(act()) {
    {
      const std::shared_lock together(mutex_);
      if (node.prepared()) return act();
    }
    const auto ahead = empties ? AheadCopies::Turn() : copy_ahead(node);
    const auto change_alone = [&]() -> decltype(act()) {
      const auto alone = alone_with({&node});
      TRY(prepare());
      return act();
    };
    return empties ? reserve_.use(change_alone) : change_alone();
  }
  // The lock, once what a change of these needs of large directories is done, others in between.
  std::unique_lock<SharedMutex<Rank::forest>> alone_with(std::initializer_list<ForestNode*> nodes);
  AheadCopies::Turn copy_ahead(const ForestNode& node);  // with no lock held
  Result<TreeNodeRef> bearer(ForestNode& node);
  Result<TreeEntry> find(ForestNode& parent, const std::string& name);
  Result<TreeEntry> look(ForestNode& parent, const std::string& name);
  Status number_new(const ForestNode& parent, const TreeEntry& entry);
  Result<TreeEntry> make(const TreeNode& parent,
                         const std::function<Result<TreeEntry>(const TreeNode&)>& call,
                         const std::string& name);
  struct Newcomer;
  Status inspect(int directory, const std::string& path, std::vector<Newcomer>& all) const;
  void settle_newcomer(const ForestNode& parent, int root, const Newcomer& one);
  Result<TreeEntry> made(ForestNode& parent, const std::string& name, const TreeEntry& entry);
  Result<Created> open_existing(const TreeEntry& entry, const std::string& name, int flags,
                                const TreeCaller&);
  Result<std::unique_ptr<TreeFile>> opened(const ForestNodeRef& node, int flags, const TreeCaller&);
  Result<std::unique_ptr<TreeFile>> open_closed(const ForestNodeRef& node, int flags);
  // The daemon itself, where it is not root: modes are in its way, which they are not in root's.
  static bool needs_rights(const TreeCaller& caller) { return caller.uid == 0 && ::geteuid() != 0; }
  Status may_write(ForestNode& node, const TreeCaller&);
  Status fetch(ForestNode& node, const TreeCaller&);
  Status fetch(ForestNode& node);  // by whom nothing is asked; with no lock held
  Status fetch_before_loss(ForestNode& node, const TreeCaller&);
  bool is_hidden(const ForestNode& parent, const std::string& name) const;
  Status check_new(const ForestNode& parent, const std::string& name) const;
  Status check_xattr(const std::string& name) const;
  bool is_whole(const ForestNode& node) const;
  bool is_forked(const ForestNode& node) const;      // without the lock; it may change meanwhile
  bool is_plain(const ForestNode& directory) const;  // of a tree that shares nothing
  Status remove(const TreeNode& parent, const std::string& name, bool directory, const TreeCaller&);
  Result<ForestNodeRef> prepare_victim(ForestNode& parent, const std::string& name);
  void removed(const ForestNodeRef& victim, bool last);
  void preserve(ForestNode& parent, const std::string& name, bool is_removed);  // no lock held
  struct Renaming;
  bool moves_directory(const Renaming& names) const;
  Status rename_plain(const Renaming& names, const TreeCaller&);
  Status rename_alone(const Renaming& names, const TreeCaller&, ForestNodeRef* lent);
  Status check_trees(const Renaming& names);
  Status move_on_disk(const Renaming& names, const ForestNodeRef& moved, const ForestNodeRef& other,
                      const TreeCaller&);
  void renamed_trees(const Renaming& names, const ForestNodeRef& moved, const ForestNodeRef& other);
  void settle_tree(const ForestNodeRef& moved, ForestNode& to, const std::string& name);
  bool is_below(const ForestNodeRef& node, const ForestNode& top) const;

  Status load_lines(std::map<std::uint32_t, std::string>& damaged);
  Status load_tree(const std::string& name, const std::map<std::uint32_t, std::string>& damaged);
  Status settle(Line& line, const std::string& name);
  Status end_rollback(Line& line, ForestNode& root);
  Result<ForestNodeRef> tree_root(const std::string& tree);
  Result<ForestNodeRef> forkable(const std::string& tree);
  Result<const Line::Snapshot*> get(SnapshotId state) const;
  Result<SnapshotId> take(ForestNode& root, SnapshotInfo info);
  Status fork_alone(const Line::Snapshot& state, const std::string& name);
  Result<TreeEntry> plant(Line& line, const Line::Snapshot& state, const std::string& name,
                          const TreeMark& mark);
  Status put_away(const ForestNode& root, const std::string& name);
  Status to_trash(int directory, const std::string& name);
  bool reads_given_up(const Line& line) const;
  Status forget_sources();
  Result<std::size_t> discard(Line& line, const std::set<std::uint64_t>& states);
  Status compare_entry(const Pair& pair, std::vector<Difference>& found, std::vector<Pair>& below);

  const std::string path_;
  const std::unique_ptr<ForestDisk> f_;
  const UniqueFd trash_;
  SharedReserve reserve_;
  mutable SharedMutex<Rank::forest> mutex_;
  std::atomic<bool> follows_ = false;  // directories follow a rollback of their tree
  std::atomic<bool> loose_ = true;     // something may depend on nothing any more
  NameChanges names_;
  std::uint32_t next_number_ = 1;
  std::uint64_t next_trash_ = 1;
  std::map<SnapshotId, std::weak_ptr<ForestNode>> views_;
};

}  // namespace agentfs::trees
