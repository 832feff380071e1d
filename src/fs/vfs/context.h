// SPDX-License-Identifier: MIT
// What all nodes of one file system share, and the few rules that they have in common. Inside vfs
// only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/shared_work.h"
#include "fs/vfs/node.h"
#include "fs/vfs/reply_slots.h"
#include "fs/vfs/save_order.h"
#include "fs/vfs/scratch_table.h"
#include "fs/vfs/services.h"
#include "fs/vfs/table.h"
#include "fs/vfs/undelivered.h"
#include "fs/vfs/version_table.h"
#include "fs/vfs/watchers.h"

namespace agentfs::vfs {

constexpr double kForever = 86'400;  // seconds: what cannot change
constexpr double kShortly = 1;       // seconds: a count of names

// The nodes that are one object a path: directories, files that block. Threads: all.
class Interned {
 public:
  NodeRef ensure(const std::string& path, const std::function<NodeRef()>& make);
  NodeRef find(const std::string& path);
  void forget(const std::string& path);  // its node has gone
  // The host's kernel has removed the directory, whose inode serves nobody any more: who looks for
  // the path gets another node, though that one is held still.
  void replace(const std::string& path);

 private:
  Mutex<Rank::queue> mutex_;
  std::unordered_map<std::string, std::weak_ptr<Node>> nodes_ GUARDED_BY(mutex_);
};

// Owned by the file system and by each node and handle, so that what is still held after its end
// stays whole. Threads: all.
struct Context {
  Context(Services& s, uid_t u, gid_t g, bool with_others)
      : services(s), owner(u), group(g), shared(with_others), started(s.clock().wall()) {}

  Services& services;
  const uid_t owner;
  const gid_t group;
  const bool shared;           // other users may use the mount
  const std::int64_t started;  // wall clock
  VersionTable versions;
  SharedWork<ContentRef> slow_texts;
  ReplySlots replies;
  SaveOrder saves;  // of documents
  ScratchTable scratch;
  Watchers watchers;
  Undelivered undelivered;
  Interned interned;
  std::map<std::string, NodeRef> data_roots;  // fixed after the start
  // The one that a workspace or home lies in; null: none.
  NodeRef top_of(const std::string& root) const;
};
using ContextRef = std::shared_ptr<Context>;

// The one function that gives inode numbers to synthetic files; the top bit keeps them apart from
// the disk's.
std::uint64_t inode_number(std::string_view path);
// The permission bits of a row: private ones are closed to others where others are.
mode_t permissions(const Context& context, const RowInfo& row);
struct stat make_stat(const Context& context, std::string_view path, mode_t mode,
                      std::int64_t changed);
std::string child_path(std::string_view directory, std::string_view name);
std::string parent_path(const std::string& path);
// Whose replies and scratch files a request sees: the login session of a person, else the process.
std::string session_of(const Request& request);
bool wants_write(int flags);
// A change that failed: its sentence is told to the caller's errors. Gives the error on.
Error noted(const Context& context, const Request& request, const std::string& path, Error error);

}  // namespace agentfs::vfs
