// SPDX-License-Identifier: MIT
// Which node stands for which version of a generated file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "fs/vfs/content.h"
#include "fs/vfs/node.h"

namespace agentfs::vfs {

// Equal content is the same node, as long as anybody holds it, with the same time of change; other
// content is another node. What a thread group has looked up it gets again for a second, until it
// opens it: so the bytes that stat measured are the bytes that the open after it reads.
// Threads: all. Times are remembered for the 65,536 files used last.
class VersionTable {
 public:
  static constexpr std::size_t kRemembered = 65'536;
  static constexpr std::int64_t kPinned = 1'000'000'000;  // nanoseconds

  // How to make the node of a content; what to tell a node that somebody has already, before it
  // can be retired.
  struct Nodes {
    std::function<NodeRef(std::int64_t changed)> make;
    std::function<void(Node&)> share;
  };
  // The node of `content` for `file` (a path, with the session where texts differ by session);
  // `wall`: the time of change of a content that is new and does not know its own.
  NodeRef version(const std::string& file, const ContentRef& content, std::int64_t wall,
                  const Nodes& nodes);
  // The time of change alone, for what is no file of its own (the names in a directory).
  std::int64_t changed(const std::string& file, const ContentRef& content, std::int64_t wall);
  // The node is changed through its descriptors: no later lookup gets it.
  void retire(const std::string& file, const Node* node);

  // For that user alone: a thread group may act for others, too, who may see another text.
  void pin(pid_t group, uid_t user, const std::string& path, NodeRef node, std::int64_t steady);
  NodeRef pinned(pid_t group, uid_t user, const std::string& path, std::int64_t steady);
  void unpin(pid_t group, const std::string& path);
  // A thread group that has changed something sees the change at its next lookup.
  void unpin_all(pid_t group);
  void clear();

  // The times of change, as text, most recently used first; and, before the first version, what
  // this gave when the daemon ended: a content that is still the same keeps its time.
  std::string times() const;
  void remember(std::string_view times);

 private:
  struct Record {
    std::uint64_t file = 0;
    std::uint64_t digest = 0;
    std::uint64_t size = 0;
    std::optional<std::int64_t> changed{};  // nothing: a record that is new
    std::weak_ptr<const Content> content{};
    std::weak_ptr<Node> node{};
    // `held`: the record's own content, where it is still there.
    bool is_of(const Content& now, std::uint64_t now_digest, const Content* held) const;
    std::int64_t time_of_next(const Content& next, std::int64_t wall) const;
  };
  using Order = std::list<Record>;
  struct Pin {
    NodeRef node;
    uid_t user = 0;
    std::int64_t until = 0;
  };
  using PinKey = std::pair<pid_t, std::string>;
  Record& touch(std::uint64_t file) REQUIRES(mutex_);
  void drop_expired(std::int64_t steady, std::vector<NodeRef>& dropped) REQUIRES(mutex_);

  mutable Mutex<Rank::queue> mutex_;
  Order order_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint64_t, Order::iterator> records_ GUARDED_BY(mutex_);
  std::map<PinKey, Pin> pins_ GUARDED_BY(mutex_);
  std::deque<std::pair<std::int64_t, PinKey>> expiry_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
