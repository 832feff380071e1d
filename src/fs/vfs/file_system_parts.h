// SPDX-License-Identifier: MIT
// What a FileSystem is made of. Inside vfs only.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fs/vfs/context.h"
#include "fs/vfs/file_system.h"
#include "fs/vfs/local_request.h"
#include "fs/vfs/quota_table.h"

namespace agentfs::vfs {

// How long a command waits for an invalidation: it runs on a thread of the channel, which the
// host's kernel may want for what holds the invalidation up, so not for ever.
inline constexpr std::chrono::seconds kInvalidation(2);
// How long who makes a tree waits for it to be shown to watchers, or asked for again.
inline constexpr std::chrono::milliseconds kShow(100);

// So many bytes of paths are asked for again before a rollback ends, each path in some 75 us.
inline constexpr std::size_t kLongestWays = 4000;
// The first to ask waits until the host's kernel has put away what it knew of the tree, 4 us for
// each name. Where it may know more, nobody asks on another's behalf.
inline constexpr std::size_t kSoonPutAway = 1000;

// A change that was made inside the daemon, for the host's caches.
struct Staleness {
  NodeRef directory{};  // whose names changed; may be null
  std::string name{};
  NodeRef node{};  // whose data or attributes changed; may be null
  // A whole tree may hang on the name: it is only to be asked for again.
  bool is_tree = false;
  // Names of the directory of which each is such a one.
  std::set<std::string> trees{};
  // What the name led to, and has gone for good, with no other name left; may be null.
  NodeRef gone{};
};

struct FileSystem::Parts {
  Parts(ContextRef c, NodeRef r) : context(std::move(c)), root(std::move(r)) {}

  // Tells the host's caches, and waits until they were told, but no longer than kInvalidation.
  // False: they have not been told yet.
  bool invalidate(const std::vector<Staleness>& changes);
  void invalidate_later(const std::vector<Staleness>& changes);  // does not wait
  // Every name that the host's kernel knows is to be asked for again when it is next used. False:
  // one that cannot be told so; nothing where none knows the node.
  std::optional<bool> expire_all(const Node& node);

  // The top of the data tree that has this workspace or home; null for what is none.
  std::shared_ptr<DataNode> top_of(const std::string& root) const;
  // After a rollback at `root`, which had these names in the state that is over.
  void let_follow(const std::shared_ptr<DataNode>& root, const std::string& path,
                  const std::vector<std::string>& gone);

  struct Writer {
    std::string path;
    std::shared_ptr<DataNode> node;
  };
  // Files below the root of a tree that somebody has open for writing.
  std::vector<Writer> writers_in(const std::string& root) const;
  // What has been written below the root of a tree through mappings is in the host's kernel alone
  // until that forgets its pages, which it does now.
  Status write_back(const std::string& root);

  // Tells who watches directories, after the caches, and does not wait for it.
  void announce(std::vector<TreeEvent> changes);
  // The same, done before it returns (or soon after): a directory that is made for show, or asked
  // for again, is gone for an instant, and with it the current directory of who is there.
  void announce_and_wait(std::vector<TreeEvent> changes);
  std::vector<std::shared_ptr<Channel>> serving() EXCLUDES(mutex);
  // What was exchanged in the trees of these changes until now.
  std::vector<Staleness> take_gone(const std::vector<TreeEvent>& changes) EXCLUDES(mutex);

  ContextRef context;
  NodeRef root;
  PastStore* past = nullptr;
  std::size_t most_nodes = 0;  // that a channel may know at a time; 0: any number
  std::shared_ptr<QuotaTable> quotas;
  Mutex<Rank::node_table> mutex;
  std::vector<std::weak_ptr<Channel>> channels GUARDED_BY(mutex);
  // Of files that were exchanged below a root: told when that is refreshed.
  std::map<std::string, std::vector<Staleness>, std::less<>> going GUARDED_BY(mutex);
};

}  // namespace agentfs::vfs
