// SPDX-License-Identifier: MIT
// The nodes of one data tree. Inside vfs only.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hold.h"
#include "base/mutex.h"
#include "fs/vfs/bypassed_files.h"
#include "fs/vfs/byte_locks.h"
#include "fs/vfs/change_order.h"
#include "fs/vfs/content_hashes.h"
#include "fs/vfs/data_node.h"
#include "fs/vfs/past_keeper.h"
#include "fs/vfs/quota_table.h"
#include "fs/vfs/under_way.h"

namespace agentfs::vfs {

struct Context;
class DirectoryType;
class Charge;
class DataHandle;
class DataNode;

// The table of the `.agentfs` directories of a tree; null where it has none.
struct HistoryTable {
  std::weak_ptr<Context> context{};
  const DirectoryType* type = nullptr;
};

// Where in the tree a node lies, as far as the host's caches care: what the daemon itself writes
// (its own refs in a workspace's repository) must be asked for each time, and what it adds to
// (objects) for what is not there.
enum class Region { plain, git, refs, own, objects };
Region region_of(Region parent, const std::string& name);

// What an open has cut on a condition: for as long as `hold` lasts nobody else publishes it.
struct Publication {
  Hold hold{};
  pid_t process = 0;  // of the host: by whose close it ends; 0: there is none
};

// Owned by its nodes. Threads: all.
class DataTree : public std::enable_shared_from_this<DataTree> {
 public:
  DataTree(Services& services, TreeStore& store, DataParts parts)
      : services_(services),
        store_(store),
        path_(std::move(parts.path)),
        numbers_(parts.numbers),
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
  // One more descriptor of the file, for reading or writing, is to be open past the daemon. False
  // where that may not be: it is held back, or has been replaced, or its bytes are others', too.
  bool enter_past(const std::shared_ptr<DataNode>& node, bool writes) EXCLUDES(mutex_);
  void leave_past(const std::shared_ptr<DataNode>& node, bool writes) EXCLUDES(mutex_);
  // For as long as what is returned lives, none is: of the files that lie in this workspace or home
  // then; or of this file, which is about to be replaced. EBUSY where some are open so, for writing
  // where it is one file: others go on reading what it was.
  Result<Hold> hold_back(const std::string& root) EXCLUDES(mutex_);
  Result<Hold> hold_back(const std::shared_ptr<DataNode>& node) EXCLUDES(mutex_);
  // The files that are open for writing, each with its descriptors.
  void add_writer(const std::shared_ptr<DataNode>& node, DataHandle& writer) EXCLUDES(mutex_);
  void remove_writer(const std::shared_ptr<DataNode>& node, DataHandle& writer) EXCLUDES(mutex_);
  // What has been written to a file until now is told in the journal, whoever has it open: of the
  // path, or of the node.
  Status tell_writes(const std::string& path) EXCLUDES(mutex_);
  Status tell_writes(const std::shared_ptr<DataNode>& node) EXCLUDES(mutex_);
  std::vector<std::shared_ptr<DataNode>> writers() EXCLUDES(mutex_);
  // A name has become another one. What is written past the daemon is looked for by its path after
  // a crash; what is kept and not told yet, and what lies ready, goes where its directory has gone.
  struct Renamed {
    std::string from{};
    std::string to{};
    bool is_directory = false;
    bool is_exchange = false;
  };
  void follow_renamed(const Renamed& renamed) EXCLUDES(mutex_);
  bool is_open_for_writing(const std::shared_ptr<DataNode>& node) EXCLUDES(mutex_);
  ByteLocks& bytes() { return bytes_; }
  ChangeOrder& order() { return order_; }
  std::uint64_t rollbacks() const { return rollbacks_; }
  void count_rollback() { ++rollbacks_; }
  // Whether directories follow a rollback, which takes a kernel that asks for all names again.
  bool follows() const { return follows_; }
  void follow_rollbacks() {
    follows_ = true;
    store_.follow_rollbacks();
  }
  const HistoryTable& history() const { return history_; }
  void set_history(HistoryTable table) { history_ = std::move(table); }  // before the first request
  const std::string& path() const { return path_; }                      // "/workspaces"
  ino_t number(ino_t inode) const { return inode ^ numbers_; }           // as it is shown

  // What is known below a directory that has got this name is to be looked up again, soon. Set
  // before the first request.
  using LookAgain = std::function<void(const NodeRef& parent, const std::string& name)>;
  void set_look_again(LookAgain tell) { look_again_ = std::move(tell); }
  void look_again(const NodeRef& parent, const std::string& name) const {
    if (look_again_) look_again_(parent, name);
  }

  // Who counts by generations is not to read, with a new one, bytes of before in the host's cache:
  // these go between a cut and its row where somebody counts so, or an agent looks. Set before the
  // first request.
  using DropBytes = std::function<bool(const NodeRef& file)>;
  void set_drop_bytes(DropBytes drop) { drop_bytes_ = std::move(drop); }
  void count_generations() { counts_generations_ = true; }
  void drop_bytes(const NodeRef& file) const;
  // What programs have stored in a file through mappings is on the disk afterwards. False: perhaps
  // not all of it.
  bool write_back(const std::shared_ptr<DataNode>& file) EXCLUDES(mutex_);

  // The one node of a file of the store. It lies where it was found last; of several names of a
  // file that is one outside of repositories, if any is or may be.
  std::shared_ptr<DataNode> ensure(const TreeEntry& entry, Region region);
  std::shared_ptr<DataNode> ensure_directory(const TreeNodeRef& directory, Region region);
  // What is known below a directory that lies elsewhere from here on: nobody looks it up again who
  // stands in it, or has it open.
  void follow_regions(const std::string& directory) EXCLUDES(mutex_);
  std::shared_ptr<DataNode> find(const TreeNode& file) EXCLUDES(mutex_);  // null: none is known
  void forget(const TreeNode* file);
  // Its path in the mount; for one without a name any more, the tree and the inode number.
  std::string path_of(const TreeNode& file) const;
  // A file is about to lose this name, where somebody is held to what he has seen: who opens it by
  // what the host's kernel knows of before meant the name. "": it is not known to have lost one.
  void note_former(const TreeNodeRef& file, const std::string& path) EXCLUDES(mutex_);
  std::string former_path(const TreeNode& file) EXCLUDES(mutex_);
  // The rows of an open that may write, and of what O_TRUNC cut off the file as it was `before`; by
  // who has a turn at the path.
  Status record_open(const Caller& author, const std::string& path, const struct stat& before,
                     int flags, const Kept& kept);

 private:
  // The descriptors by which it is open for writing.
  std::vector<std::shared_ptr<DataHandle>> handles(const std::shared_ptr<DataNode>& node)
      EXCLUDES(mutex_);

  Services& services_;
  TreeStore& store_;
  std::string path_;
  const std::uint64_t numbers_;
  PastKeeper keeper_;
  HistoryTable history_;
  LookAgain look_again_;
  DropBytes drop_bytes_;
  std::atomic<bool> counts_generations_ = false;
  ContentHashes hashes_;
  std::shared_ptr<BypassedFiles> bypassed_;
  std::shared_ptr<UnderWay> under_way_;
  std::shared_ptr<QuotaTable> quotas_;
  ByteLocks bytes_;
  ChangeOrder order_;
  std::atomic<bool> follows_ = false;
  std::atomic<std::uint64_t> rollbacks_ = 0;
  Mutex<Rank::object> mutex_;
  std::unordered_map<const TreeNode*, std::weak_ptr<DataNode>> nodes_ GUARDED_BY(mutex_);
  std::unordered_map<const TreeNode*, std::string> former_ GUARDED_BY(mutex_);  // of some of them
  struct OpenPast {
    int all = 0;
    int writers = 0;
  };
  std::unordered_map<std::shared_ptr<DataNode>, OpenPast> past_daemon_ GUARDED_BY(mutex_);
  std::multiset<std::string> held_roots_ GUARDED_BY(mutex_);
  std::multiset<std::shared_ptr<DataNode>> held_files_ GUARDED_BY(mutex_);
  std::unordered_map<std::shared_ptr<DataNode>, std::set<DataHandle*>> writers_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
