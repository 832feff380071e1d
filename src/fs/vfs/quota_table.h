// SPDX-License-Identifier: MIT
// The limits of trees and users, held by all who change data trees. Inside vfs only.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/growth.h"
#include "base/hold.h"
#include "fs/vfs/quota_ledger.h"
#include "fs/vfs/services.h"

namespace agentfs::vfs {

class DataNode;
class DataTree;

// EDQUOT, with what would give room.
std::unexpected<Error> no_room(const QuotaLedger::Refusal& why);

// Without a limit anywhere a change costs two atomic additions here, and no system call. With one,
// each file of a tree that has a limit, or is a limited user's, is looked at after it was changed
// (fs/vfs/charge.h), and its tree is walked once, by a thread of its own, which other changes need
// not wait for: what is decided before that has ended is not refused.
//
// Owned by the file system and its data trees. Threads: all.
class QuotaTable {
 public:
  explicit QuotaTable(Services& services) : services_(services) {}
  ~QuotaTable() { stop(); }
  void stop() EXCLUDES(mutex_);  // the walks end; called before what they walk goes

  void add(std::shared_ptr<DataTree> tree);  // before the first request
  // The services' limits are others, or may be. The likeness: about as much is held there.
  void reload(const QuotaLedger::Likeness& likeness = {});
  // A tree was changed past its nodes: at once, `anew`, or name by name.
  void recount(const std::string& subject, bool anew);

  bool is_active() const { return active_.load(); }
  QuotaLedger& ledger() { return ledger_; }
  Services& services() { return services_; }
  // Whether changes of this file are counted: then none may be made unseen.
  bool covers(const DataNode& node);
  // What is held: as counted, else by looking at all of it for some seconds.
  Result<Holding> holding(const std::string& subject);
  // Until it has been counted, where it is limited; for some seconds at most.
  void await(const std::string& subject) const;
  // EDQUOT unless it could hold so much more, beside what else is held so.
  Result<Hold> hold_room(const std::string& subject, const Growth::Amount& more) EXCLUDES(mutex_);
  // The same of a tree, by its path, and of each user who comes to hold more in it.
  Result<Hold> hold_room(const std::string& tree, const Growth& more) EXCLUDES(mutex_);

  // --- one look at a file, after it may have changed
  enum class Why { changed, made, removed };
  void look(DataNode& node, Why why);
  void count_new(DataNode& node, std::string tree);  // which has no name, but was made in the tree
  void look_at_bytes(DataNode& node);  // of one whose names and owner have not changed
  void closed(DataNode& node, bool written);

  // --- changes under way. A count begins when all those that may not know of it have ended.
  unsigned enter();  // for leave()
  void leave(unsigned side);
  // The number of the walk under way; 0: none. A directory that was moved since the change began
  // may have been missed by it.
  std::uint64_t walking() const { return walking_.load(); }
  void directory_moved(std::shared_ptr<DataNode> directory, std::uint64_t walk_before)
      EXCLUDES(mutex_);

 private:
  using Directories = std::vector<std::shared_ptr<DataNode>>;

  void request(const std::string& subject, bool anew) EXCLUDES(mutex_);
  void run() EXCLUDES(mutex_);
  void count(const std::string& subject);
  void drain();
  Directories roots_of(const std::string& subject);
  void walk(Directories directories);
  void look_at_nameless(const std::string& subject);
  void walk_one(DataNode& directory, Directories& below);
  std::optional<std::string> next_job() EXCLUDES(mutex_);
  // Those moved meanwhile; where there are none, the walk is over.
  Directories take_moved() EXCLUDES(mutex_);
  bool stopped() const { return stopping_.load(); }
  Holding look_at_all(const std::string& subject);

  Services& services_;
  QuotaLedger ledger_;
  std::atomic<bool> active_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> walking_ = 0;
  std::uint64_t walks_ = 0;  // the thread's own
  std::atomic<unsigned> side_ = 0;
  std::array<std::atomic<int>, 2> inside_{};
  std::vector<std::weak_ptr<DataTree>> trees_;  // fixed after the start
  std::atomic<std::uint64_t> reloads_ = 0;
  Mutex<Rank::store> mutex_;
  std::condition_variable_any changed_;  // jobs_, stopping_
  std::deque<std::string> jobs_ GUARDED_BY(mutex_);
  Directories moved_ GUARDED_BY(mutex_);
  std::map<std::string, Growth::Amount> promised_ GUARDED_BY(mutex_);
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
