// SPDX-License-Identifier: MIT
// The nodes of one data tree. Inside vfs only.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "fs/vfs/bypassed_files.h"
#include "fs/vfs/content_hashes.h"
#include "fs/vfs/data_node.h"
#include "fs/vfs/past_keeper.h"
#include "fs/vfs/quota_table.h"
#include "fs/vfs/under_way.h"

namespace agentfs::vfs {

struct Context;
class DirectoryType;

class Charge;
class DataNode;

// The table of the `.agentfs` directories of a tree; null where it has none.
struct HistoryTable {
  std::weak_ptr<Context> context{};
  const DirectoryType* type = nullptr;
};

// Where in the tree a node lies, as far as the host's caches care: what the daemon itself writes
// (its own refs in a workspace's repository) must be asked for each time.
enum class Region { plain, git, refs, own };
Region region_of(Region parent, const std::string& name);

// Owned by its nodes. Threads: all.
class DataTree : public std::enable_shared_from_this<DataTree> {
 public:
  DataTree(Services& services, TreeStore& store, DataParts parts)
      : services_(services),
        store_(store),
        path_(std::move(parts.path)),
        keeper_(services, store, parts.past),
        bypassed_(std::move(parts.bypassed)),
        under_way_(parts.under_way != nullptr ? std::move(parts.under_way)
                                              : std::make_shared<UnderWay>("")),
        quotas_(parts.quotas != nullptr ? std::move(parts.quotas)
                                        : std::make_shared<QuotaTable>(services)) {}

  Services& services() { return services_; }
  TreeStore& store() { return store_; }
  PastKeeper& keeper() { return keeper_; }
  BypassedFiles& bypassed() { return *bypassed_; }
  UnderWay& under_way() { return *under_way_; }
  QuotaTable& quotas() { return *quotas_; }
  ContentHashes& hashes() { return hashes_; }
  // How many files of a workspace or home are open past the daemon, for reading or writing.
  void count_bypassed(const std::string& root, int change) EXCLUDES(mutex_);
  int open_past_daemon(const std::string& root) EXCLUDES(mutex_);
  // The files that are open for writing: one descriptor more or less.
  void count_writer(const std::shared_ptr<DataNode>& node, int change) EXCLUDES(mutex_);
  std::vector<std::shared_ptr<DataNode>> writers() EXCLUDES(mutex_);
  bool is_open_for_writing(const std::shared_ptr<DataNode>& node) EXCLUDES(mutex_);
  const HistoryTable& history() const { return history_; }
  void set_history(HistoryTable table) { history_ = std::move(table); }  // before the first request
  const std::string& path() const { return path_; }                      // "/workspaces"

  // The one node of a file of the store.
  std::shared_ptr<DataNode> ensure(const TreeNodeRef& file, Region region);
  std::shared_ptr<DataNode> find(const TreeNode& file) EXCLUDES(mutex_);  // null: none is known
  void forget(const TreeNode* file);
  // Its path in the mount; for one without a name any more, the tree and the inode number.
  std::string path_of(const TreeNode& file) const;
  // The journal row of a change that has been made.
  Status record(Request& request, const TreeChange& change);
  // The same for an open that may write, and for what O_TRUNC cut off the file as it was `before`.
  Status record_open(const Caller& author, const std::string& path, const struct stat& before,
                     int flags, const Kept& kept);

 private:
  Services& services_;
  TreeStore& store_;
  std::string path_;
  PastKeeper keeper_;
  HistoryTable history_;
  ContentHashes hashes_;
  std::shared_ptr<BypassedFiles> bypassed_;
  std::shared_ptr<UnderWay> under_way_;
  std::shared_ptr<QuotaTable> quotas_;
  Mutex<Rank::object> mutex_;
  std::unordered_map<const TreeNode*, std::weak_ptr<DataNode>> nodes_ GUARDED_BY(mutex_);
  std::map<std::string, int> past_daemon_ GUARDED_BY(mutex_);
  std::unordered_map<std::shared_ptr<DataNode>, int> writers_ GUARDED_BY(mutex_);
};

// What of `which` (SetAttributes::Which) was and is, as the journal tells it.
json::Object before_and_after(const struct stat& before, const struct stat& after, unsigned which);

// Threads: all.
class DataNode final : public Node {
 public:
  DataNode(std::shared_ptr<DataTree> tree, TreeNodeRef file, Region region)
      : tree_(std::move(tree)), file_(std::move(file)), region_(region) {}
  ~DataNode() override {
    delete kept_as_.load();
    tree_->forget(file_.get());
  }

  const TreeNode& file() const { return *file_; }
  DataTree& tree() const { return *tree_; }
  Region region() const { return region_; }
  std::string named_path() const;                 // "" where it has no name any more
  bool is_nameless() const { return nameless_; }  // made so, and not given a name yet
  // The workspace or home it lies in; where it has no name yet, the one it was made in.
  std::string place() const;
  // How many names of the file are ours, in the past store, and are not shown as links.
  void hide_links(int change) { hidden_links_.fetch_add(change); }
  // Its last name is gone, and the past has the inode by this one.
  void keep_as(PastName name);
  // Before what it holds changes all the same, by a descriptor.
  void part_from_past();
  // One more, or one less, descriptor by which it is written past the daemon: while there is one,
  // the host's kernel asks for the attributes each time, since a mapping changes them unseen.
  void written_past(bool begins) { writers_past_ += begins ? 1 : -1; }
  void count_open(int change) { opens_.fetch_add(change); }
  const std::atomic<int>& opens() const { return opens_; }  // its descriptors
  // As it is shown, now.
  Result<struct stat> status() const { return shown(TRY(tree_->store().attributes(*file_))); }
  bool is_written_past() const { return writers_past_ > 0; }
  // The row of what was so written until now: what happens next would hide it.
  Status tell_written_past(const struct stat& now);

  mode_t type() const override { return file_->type(); }
  std::string path() const override { return tree_->path_of(*file_); }
  bool takes_descriptor() const override { return true; }
  bool lists_attributes() const override { return true; }
  Result<Attributes> attributes(Request&) override;
  Result<Attributes> set_attributes(Request&, Handle* open, const SetAttributes& wanted) override;
  Result<std::string> read_link(Request&) override;
  Result<Opened> open(Request&, int flags) override;
  NodeRef told_entry(const std::string& name) override;
  Result<Found> lookup(Request&, const std::string& name) override;
  Result<Opened> open_directory(Request&) override;
  Result<CreatedNode> create(Request&, const std::string& name, int flags, mode_t mode) override;
  Result<CreatedNode> create_nameless(Request&, int flags, mode_t mode) override;
  Result<Found> make_node(Request&, const std::string& name, mode_t mode, dev_t device) override;
  Result<Found> make_directory(Request&, const std::string& name, mode_t mode) override;
  Result<Found> make_link(Request&, const std::string& name, const std::string& target) override;
  Result<Found> link(Request&, Node& existing, const std::string& name) override;
  Status unlink(Request&, const std::string& name) override;
  Status remove_directory(Request&, const std::string& name) override;
  Status rename(Request&, const std::string& name, Node& new_parent, const std::string& new_name,
                unsigned flags) override;
  Result<struct statvfs> statistics(Request&) override;
  Status access(Request&, int mask) override;
  Status set_xattr(Request&, const std::string& name, std::string_view value, int flags) override;
  Result<std::string> get_xattr(Request&, const std::string& name) override;
  Result<std::string> list_xattr(Request&) override;
  Status remove_xattr(Request&, const std::string& name) override;
  // Tells of the mode that writing has changed, if it has.
  Status tell_mode(Request&, const struct stat& before);

 private:
  std::string child(const std::string& name) const { return path() + "/" + name; }
  Validity validity(const struct stat& attributes) const;
  struct stat shown(struct stat attributes) const;
  // Before O_TRUNC takes its bytes; nothing for another open.
  Kept keep_truncated(const TreeNode& file, const std::string& path, int flags);
  Found found(const TreeEntry& entry, const std::string& name);
  Result<CreatedNode> open_existing(Request&, const std::string& name, int flags, mode_t mode);
  static CreatedNode opened(Found entry, std::unique_ptr<TreeFile> file, Caller writer, int flags,
                            bool is_new);
  // What the journal says of a name that was made: `other` is what a hard link is a name of.
  struct Making {
    Undertaking& making;
    Charge& charge;
  };
  // The rows of a made name: told to the journal, or taken back when that cannot be written.
  Result<Found> made(Request&, const Result<TreeEntry>& entry, const std::string& name,
                     const Making& how);

  std::shared_ptr<DataTree> tree_;
  TreeNodeRef file_;
  Region region_;
  std::atomic<int> hidden_links_ = 0;
  std::atomic<const PastName*> kept_as_ = nullptr;  // owned
  std::atomic<int> writers_past_ = 0;
  std::atomic<int> opens_ = 0;
  std::atomic<bool> nameless_ = false;  // made without a name, and has none yet
  std::string made_in_;                 // of such a file: as place(); fixed before it is known
  std::atomic<bool> told_ = false;      // its attributes, and not used since
};

}  // namespace agentfs::vfs
