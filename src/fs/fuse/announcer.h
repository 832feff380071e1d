// SPDX-License-Identifier: MIT
// Tells those who watch directories of the mount (inotify, fanotify) of changes that the daemon
// made itself.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/spawn.h"
#include "fs/fuse/announced_node.h"
#include "fs/fuse/inside/announcement.h"
#include "fs/vfs/channel.h"

namespace agentfs::fuse {

// The host's kernel tells watchers of what processes do through the mount, and has no call by which
// a daemon could tell them of anything else. So a process of ours, agentfs-announce, does each
// change once more through the mount; the daemon, which knows it by its pid, shows it the state
// before the change and answers that it is done, and does nothing. The watchers' events are the
// natural ones, about the final state.
//
// Of what a state that is over had, the kernel tells nobody: it is asked for anew, not removed. So
// a while after a tree was replaced the helper looks who watches what; what of that has been left
// behind is shown to it once more under a name of its own, without a link, and then no more: who
// watches it hears that it has gone.
//
// One change is under way at a time. The helper ends with the session; one that was killed is
// started again by the next change. What it cannot do (a file that may not be opened for writing)
// is left out. Threads: announce() and prepare() on the event thread, end() and the rest on any.
class Announcer : public std::enable_shared_from_this<Announcer> {
 public:
  // More than that at once are left out: a watcher's queue holds 16,384 events.
  static constexpr std::size_t kMost = 10'000;

  Announcer(vfs::Services& services, std::string mountpoint);
  ~Announcer();
  // Whose nodes the trees' are, from now on.
  void serve(const std::shared_ptr<vfs::Channel>& trees) EXCLUDES(mutex_);
  void announce(const std::vector<TreeEvent>& changes) EXCLUDES(mutex_);
  // Starts the helper, for whom the first change would wait; one that cannot be is told of then.
  void prepare() EXCLUDES(mutex_);
  void end() EXCLUDES(mutex_);

  // A removal is told of just now: who is to remove the name once more has to find it.
  bool is_removing() EXCLUDES(mutex_);
  pid_t helper() const { return helper_.load(std::memory_order_relaxed); }
  // What the helper sees of a node; there is nothing that it could change.
  vfs::NodeRef shown(vfs::NodeRef node) EXCLUDES(mutex_);

 private:
  bool is_over() const REQUIRES(mutex_);
  Status start() REQUIRES(mutex_);
  void send_next() EXCLUDES(mutex_);
  void answered(std::uint32_t events) EXCLUDES(mutex_);
  void look_soon(const TreeEvent& replaced) REQUIRES(mutex_);
  void look() EXCLUDES(mutex_);
  void tell_left(const std::string& tree, std::vector<std::uint64_t> watched) REQUIRES(mutex_);
  void drop_helper() REQUIRES(mutex_);

  vfs::Services& services_;
  const std::string mountpoint_;
  static constexpr pid_t kNobody = -1;  // 0 is a process of another pid namespace
  std::atomic<pid_t> helper_ = kNobody;
  Mutex<Rank::object> mutex_;
  bool ended_ GUARDED_BY(mutex_) = false;
  Spawned process_ GUARDED_BY(mutex_);
  UniqueFd socket_ GUARDED_BY(mutex_);
  AnnouncementSecret secret_ GUARDED_BY(mutex_){};  // of this helper
  std::deque<Announced> waiting_ GUARDED_BY(mutex_);
  std::optional<Announced> current_ GUARDED_BY(mutex_);
  std::weak_ptr<vfs::Channel> trees_ GUARDED_BY(mutex_);
  std::string replaced_ GUARDED_BY(mutex_);  // the tree that was so last; "": none, or looked after
};

}  // namespace agentfs::fuse
