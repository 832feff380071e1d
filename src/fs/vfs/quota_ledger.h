// SPDX-License-Identifier: MIT
// What trees and users with limits hold, inode by inode. Inside vfs only.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "kernel/quota.h"

namespace agentfs::vfs {

// A file of some store: the store is any address of its own.
struct FileKey {
  const void* store = nullptr;
  std::uint64_t inode = 0;
  friend bool operator==(const FileKey&, const FileKey&) = default;
};

struct FileKeyHash {
  std::size_t operator()(const FileKey& key) const {
    return std::hash<const void*>()(key.store) ^ (key.inode * 0x9E3779B97F4A7C15U);
  }
};

// A sum of what is known of each inode, never of differences: a file is looked at after each change
// and the ledger told what was found. So looking twice, or too late, does no harm, and a walk can
// count while others change. Looks at one file may overtake each other: of two, the one that began
// later counts, as it has seen all that the other has.
//
// It makes no system calls. Threads: all; reserve() waits for others' changes that are under way.
class QuotaLedger {
 public:
  // --- limits
  // A subject that holds about as much as another, until it has been counted: a fork, a new name.
  struct Likeness {
    std::string subject{};
    std::string from{};
  };
  // From now on these, unless those of a greater number are known; the subjects that were not there
  // before. What was counted for others is forgotten.
  std::vector<std::string> set_limits(const Quotas& limits, std::uint64_t number,
                                      const Likeness& likeness);
  std::vector<std::string> subjects() const;

  // --- counting
  // All of the subject is about to be looked at; `anew`: nothing known of it holds any more, nor
  // what users hold in it. The count's number, 0 where nothing of it is limited.
  std::uint64_t begin_count(const std::string& subject, bool anew);
  // Everything was looked at: what has not been seen since the beginning is not there any more. Not
  // where another count has begun.
  void end_count(const std::string& subject, std::uint64_t count);

  struct State {
    Quota limit{};
    Holding held{};          // complete: not being counted
    bool is_judged = false;  // enough is known for refusing
  };
  std::optional<State> state(const std::string& subject) const;  // nothing: it has no limit
  // The same when it has been counted, or at the deadline.
  std::optional<State> await(const std::string& subject,
                             std::chrono::steady_clock::time_point deadline) const;
  bool has_users() const;
  // Trees with limits, and where users have some all in which they hold anything.
  bool has_trees_below(const std::string& directory) const;

  // --- looking at files
  struct Look {
    FileKey key{};
    std::uint64_t number = 0;
  };
  struct Seen {
    std::uint64_t bytes = 0;
    uid_t uid = 0;
    std::string tree{};  // the subject it lies in
  };
  Look begin_look(const FileKey& key);  // each is ended once
  void end_look(const Look& look);      // nothing was found out
  // The same file and owner as before; whether it is known.
  bool end_look(const Look& look, std::uint64_t bytes);
  // It has a name in the tree. `fresh`: it was made since the tree was forked, or counted last.
  void end_look(const Look& look, const Seen& seen, bool fresh);
  // It has no name any more. `removed`: its name has just gone; it counts as long as it is open.
  void end_look(const Look& look, const Seen& seen, bool removed, const std::atomic<int>& opens);
  // It may not be open any more.
  void closed(const FileKey& key, const std::atomic<int>& opens);
  std::optional<Seen> find(const FileKey& key) const;

  // --- room
  struct Growth {
    std::uint64_t bytes = 0;
    std::uint64_t inodes = 0;
    bool is_name = false;  // a directory takes room for names: none once that has passed the limit
  };
  struct Account;
  static constexpr std::chrono::seconds kLongestWait{2};  // for what others have reserved
  // Room that nobody else gets until it is given back, when the change has been looked at.
  struct Reservation {
    struct Part {
      std::shared_ptr<Account> account{};
      Growth growth{};
    };
    std::vector<Part> parts{};
  };
  enum class Room {
    reserved,
    refused,
    again,  // others' reservations were in the way and have moved: growth may be another now
  };
  struct Refusal {
    std::string subject{};
    bool is_bytes = true;
    std::uint64_t limit = 0;
    std::uint64_t held = 0;
  };
  // In a tree and for a user; "" and nothing for neither.
  struct Payers {
    std::string tree{};
    std::optional<uid_t> user{};
  };
  Room reserve(const Payers& payers, Growth growth, Reservation& into, Refusal& refusal);
  Room reserve(const FileKey& file, Growth growth, Reservation& into, Refusal& refusal);
  void give_back(const Reservation& reservation);

 private:
  struct Entry {
    std::uint64_t bytes = 0;
    Account* tree = nullptr;
    Account* user = nullptr;
    std::uint64_t pass = 0;  // when it was seen last
    uid_t uid = 0;
    bool nameless = false;
  };
  struct Flight {
    std::uint32_t count = 0;
    std::uint64_t applied = 0;
  };
  using Accounts = std::vector<std::shared_ptr<Account>>;

  std::shared_ptr<Account> find_tree(const std::string& subject) const REQUIRES(mutex_);
  std::shared_ptr<Account> find_user(uid_t uid) const REQUIRES(mutex_);
  std::shared_ptr<Account> find_account(const std::string& subject) const REQUIRES(mutex_);
  Account& ensure_account(const std::string& subject) REQUIRES(mutex_);
  Account* tree_of(const Seen& seen, const Account* user) REQUIRES(mutex_);
  std::optional<State> state_of(const std::string& subject) const REQUIRES(mutex_);
  template <class Key>
  void keep_only(const Quotas& limits, std::map<Key, std::shared_ptr<Account>>& accounts,
                 Accounts& gone) REQUIRES(mutex_);
  bool land(const Look& look, bool found) REQUIRES(mutex_);
  void put(const FileKey& key, const Entry& entry, bool fresh) REQUIRES(mutex_);
  void take(const FileKey& key) REQUIRES(mutex_);
  static void add(Account* account, std::uint64_t bytes, bool fresh);
  static void subtract(Account* account, std::uint64_t bytes);
  void erase_if_idle(const Account& account) REQUIRES(mutex_);
  void forget(Account& account, bool with_users) REQUIRES(mutex_);
  Room reserve(const Accounts& payers, Growth growth, Reservation& into, Refusal& refusal,
               Lock<Rank::store>& lock) REQUIRES(mutex_);

  mutable Mutex<Rank::store> mutex_;
  mutable std::condition_variable_any changed_;  // a reservation was given back, a count ended
  std::map<std::string, std::shared_ptr<Account>> trees_ GUARDED_BY(mutex_);
  std::map<uid_t, std::shared_ptr<Account>> users_ GUARDED_BY(mutex_);
  std::unordered_map<FileKey, Entry, FileKeyHash> entries_ GUARDED_BY(mutex_);
  std::unordered_map<FileKey, Flight, FileKeyHash> flights_ GUARDED_BY(mutex_);
  std::uint64_t next_look_ GUARDED_BY(mutex_) = 1;
  std::uint64_t pass_ GUARDED_BY(mutex_) = 1;
  std::uint64_t limits_ GUARDED_BY(mutex_) = 0;  // their number
};

}  // namespace agentfs::vfs
