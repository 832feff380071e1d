// SPDX-License-Identifier: MIT
// The numbers that the host's kernel knows nodes and descriptors by.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "fs/vfs/node.h"

namespace agentfs::vfs {

// A number is a slot and the slot's generation, so that one that was given back names nothing.
// Holds each node while it is known. Threads: all; no node is called or freed under the lock.
class NodeTable {
 public:
  // `root` is number 1 and is never forgotten.
  explicit NodeTable(NodeRef root);
  Result<NodeRef> get(std::uint64_t id);  // ESTALE
  std::uint64_t remember(const NodeRef& node);
  void forget(std::uint64_t id, std::uint64_t lookups);
  std::uint64_t find(const Node* node);  // 0 where the host's kernel does not know it
  std::size_t size();
  // Returns when no more than `most` are known; false after `patience`.
  bool wait_for_fewer(std::size_t most, std::chrono::milliseconds patience);
  // The next ones, at most so many, in a round of all but the root.
  std::vector<std::uint64_t> next(std::size_t count);
  void clear();

 private:
  struct Slot {
    NodeRef node;
    std::uint64_t lookups = 0;
    std::uint32_t generation = 0;
  };
  Slot* find_slot(std::uint64_t id) REQUIRES(mutex_);

  Mutex<Rank::node_table> mutex_;
  std::vector<Slot> slots_ GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_ GUARDED_BY(mutex_);
  std::unordered_map<const Node*, std::uint64_t> ids_ GUARDED_BY(mutex_);
  std::condition_variable_any forgotten_;
  std::size_t round_ GUARDED_BY(mutex_) = 0;  // the slot that next() has come to
};

// Whom a file is open for: a user, and a process of theirs, 0 where that is not known.
struct Opener {
  uid_t uid = 0;
  pid_t process = 0;
};

// Open descriptors by number. Threads: all.
class HandleTable {
 public:
  std::uint64_t keep(std::shared_ptr<Handle> handle, Opener opener);
  std::shared_ptr<Handle> find(std::uint64_t number);
  std::shared_ptr<Handle> drop(std::uint64_t number);
  std::vector<std::shared_ptr<Handle>> clear();
  std::size_t size();
  std::size_t size(uid_t uid);
  std::size_t size_of_process(pid_t process);  // 0 for 0

 private:
  struct Slot {
    std::shared_ptr<Handle> handle;
    Opener opener{};
    std::uint32_t generation = 0;
  };
  Slot* find_slot(std::uint64_t number) REQUIRES(mutex_);
  void count(Opener opener) REQUIRES(mutex_);
  void discount(Opener opener) REQUIRES(mutex_);

  Mutex<Rank::node_table> mutex_;
  std::vector<Slot> slots_ GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_ GUARDED_BY(mutex_);
  std::unordered_map<uid_t, std::size_t> by_user_ GUARDED_BY(mutex_);
  std::unordered_map<pid_t, std::size_t> by_process_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
