// SPDX-License-Identifier: MIT
// Keeps what is about to be removed or overwritten in a data tree: first the old content, then the
// operation, then its row in the journal, which names what was kept. Inside vfs only.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/past_store.h"
#include "backends/tree_store.h"
#include "base/mutex.h"
#include "fs/vfs/services.h"

namespace agentfs::vfs {

// What was kept before one change. A value.
struct Kept {
  std::uint64_t number = 0;  // 0: nothing
  std::string path{};        // that it had
  bool stored = false;       // it has bytes in the past store
  bool linked = false;       // perhaps by one more name of the inode
  bool moved = false;        // by the name that was to go: it is gone
  json::Value row{};         // the member `kept` of the change's row; null: nothing is told
};

// Owned by a data tree; threads: all. Keeping never refuses a change: what cannot be kept is told
// in the row, with the reason.
class PastKeeper {
 public:
  // `past` is null where nothing is kept (/tmp).
  PastKeeper(Services& services, TreeStore& store, PastStore* past)
      : services_(services), store_(store), past_(past) {}

  bool is_on() const { return past_ != nullptr && services_.keeps_history(); }
  bool would_copy(std::uint64_t size) const {  // before the bytes of a file change in place
    return is_on() && services_.why_not_kept(size, true).empty();
  }
  // Before the last name of what stands there goes. A file that somebody has open for writing goes
  // on changing without it, so that a copy is kept where its size allows one. `move`, which may be
  // null, takes the name away: what is to be kept by a link is moved to the past where it can be.
  Kept keep_name(const TreeEntry& entry, const std::string& path, bool is_open_for_writing,
                 const PastStore::MoveThere& move);
  // Before the bytes of an open or known file change in place: `file` is any descriptor of it.
  Kept keep_bytes(int file, const std::string& path);
  Kept keep_bytes(const TreeNode& node, const std::string& path);
  // Of a file that is renamed to be a backup beside what comes under its own name: a version of
  // that name, which has its bytes once the backup has gone. Null where nothing is kept.
  json::Value keep_former(const TreeEntry& entry);
  void take_back(const Kept& kept);  // the change has not been made
  // Where it belongs by now, should the row not come.
  void note_moved(const PastName& name, const std::string& path);
  // What was kept by a link: its inode is about to change.
  Status separate(const PastName& name) const { return past_->separate(name); }
  // A copy was kept of what the file held; and what was is as durable as what the file holds now.
  void note_copy(std::uint64_t inode, const PastName& copy) EXCLUDES(mutex_);
  Status sync_copies(std::uint64_t inode) EXCLUDES(mutex_);

 private:
  Kept keep_file(const TreeEntry& entry, const std::string& path, bool is_open_for_writing,
                 const PastStore::MoveThere& move);
  std::optional<std::uint64_t> keep_moved(const std::string& path,
                                          const PastStore::MoveThere& move);

  Services& services_;
  TreeStore& store_;
  PastStore* const past_;
  std::atomic<bool> may_move_ = true;  // the past is on the disk of the tree, as far as is known
  Mutex<Rank::store> mutex_;
  // By the file's inode. Those that are too many are forgotten: then all are synced.
  std::unordered_map<std::uint64_t, std::vector<PastName>> unsynced_ GUARDED_BY(mutex_);
  std::size_t unsynced_count_ GUARDED_BY(mutex_) = 0;
  std::uint64_t times_forgotten_ GUARDED_BY(mutex_) = 0;
  std::uint64_t times_all_synced_ GUARDED_BY(mutex_) = 0;
};

// What one open that may write has kept, and whether it has to keep anything yet. Threads: all.
class WriteKeeper {
 public:
  // The file has nothing to lose by this open: it was made by it, or emptied.
  void settle();
  bool is_settled() const { return settled_.load(); }
  // What it had kept has been told, and what the file holds now is kept before the next change.
  void renew() { settled_.store(false); }
  bool has_ever_kept() const { return has_ever_kept_.load(); }
  // Before bytes from `offset` on change: the copy that was made now, if any. An append loses
  // nothing and keeps nothing; nor does a file whose `path` is empty: it has been removed, and was
  // kept then.
  std::optional<PastName> before_write(PastKeeper& keeper, int file,
                                       const std::function<std::string()>& path, off_t offset)
      EXCLUDES(mutex_);
  // What was kept of a file that is as it was then, for certain: nothing has come of the change.
  Kept take_unneeded(int file) EXCLUDES(mutex_);
  bool has_kept() const EXCLUDES(mutex_);  // something that is not told yet
  // What was kept and is not told yet; put_back() where it could not be told.
  Kept take() EXCLUDES(mutex_);
  void put_back(Kept kept) EXCLUDES(mutex_);
  // A directory that what was kept had its name in has another name: what is not told of it yet.
  void follow(PastKeeper& keeper, std::string_view from, std::string_view to, bool is_exchange)
      EXCLUDES(mutex_);

 private:
  std::atomic<bool> settled_ = false;
  std::atomic<bool> has_ever_kept_ = false;
  // Held over the copy on purpose: no other writer of this open may come first.
  mutable Mutex<Rank::handle> mutex_;
  Kept kept_ GUARDED_BY(mutex_);
  struct stat found_ GUARDED_BY(mutex_) {};  // what the file was when that was kept
  bool tells_ GUARDED_BY(mutex_) = false;    // a change since has given it another time
};

}  // namespace agentfs::vfs
