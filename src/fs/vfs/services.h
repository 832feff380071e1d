// SPDX-License-Identifier: MIT
// What vfs needs of the kernel, so that it can be tested without one. fs/services implements it
// over Kernel, tests over a few maps.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/hold.h"
#include "base/worker_pool.h"
#include "kernel/caller.h"
#include "kernel/quota.h"
#include "kernel/tree_change.h"

namespace agentfs {
class WriteGuard;  // kernel/write_guard.h
}  // namespace agentfs

namespace agentfs::vfs {

// A change the host's kernel must forget what it cached of. Sent from the thread of notices: it may
// wait there for a directory's lock, which anybody who lists it can hold.
class Invalidator {
 public:
  virtual ~Invalidator() = default;
  virtual void inode(std::uint64_t node_id) = 0;                             // data and attributes
  virtual void entry(std::uint64_t parent_id, const std::string& name) = 0;  // a name
  // A name that led to that file, or empty directory, which has gone: who watches it is told.
  virtual void removed(std::uint64_t parent_id, std::uint64_t node_id, const std::string& name) = 0;
  // A name, to be asked for again when it is next used: then, not now, goes what is known below it.
  virtual void expire(std::uint64_t parent_id, const std::string& name) = 0;
  // The same for all names there are, in one message; false: not by this kernel (before 6.16).
  virtual bool expire_all() { return false; }
  // Nodes are forgotten of which nobody has anything open; false: not by this kernel (before 6.18).
  virtual bool prune(const std::vector<std::uint64_t>& /*node_ids*/) { return false; }
  // For who watches directories. Does not wait.
  virtual void announce(const std::vector<TreeEvent>& changes) = 0;
};

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Threads: all. None blocks.
class Services {
 public:
  virtual ~Services() = default;
  virtual Caller identify(const HostCaller& host) = 0;
  virtual bool asks_for_child() { return false; }  // whether identify() looks at HostCaller::child
  virtual Result<Caller> ensure_caller(const HostCaller& host) = 0;
  // The sentence becomes the newest line of the caller's errors.
  virtual void note_error(const Caller& caller, std::string_view path, const Error& error) = 0;
  // Journal rows: a change under a data tree, a write to a control file.
  virtual Status record_change(const Caller& caller, const TreeChange& change) = 0;
  // Before a change that cannot be undone where its row does not fit any more: ENOSPC.
  virtual Status check_room(bool makes_room) = 0;
  // Whether a merge into the tree is under way, or what excludes one.
  virtual bool is_tree_busy(const std::string& /*root*/) { return false; }
  // The root is about to get another name, or another root its own: while what is returned lives,
  // nobody begins a merge into it or from it, a fork or the like. EBUSY while one is under way, or
  // half done.
  virtual Result<Hold> hold_tree(const std::string& /*root*/) { return Hold(); }
  // The same before it goes: nothing is under way between it and a directory of the host.
  virtual Result<Hold> hold_import(const std::string& /*root*/) { return Hold(); }
  virtual Status record_control(const Caller& caller, const std::string& path,
                                std::string_view text) = 0;
  // May this process change a path of a data tree, which is free of links? EPERM.
  virtual Status may_change(const Caller& caller, const std::string& path) = 0;
  // Whose a synthetic file is; nothing where it is the mount's owner's.
  virtual std::optional<FileOwner> owner_of(std::string_view path) = 0;
  // Whether old contents are kept at all, and why one of this size is not ("" where it is).
  virtual bool keeps_history() { return false; }
  // Whether a path is one of the daemon's own that lies ready to be renamed to its place, or did
  // when the last daemon died.
  virtual bool lies_ready(const std::string& /*path*/) { return false; }
  // Whether it lay ready still when a crash came, and is removed since.
  virtual bool was_left_ready(const std::string& /*path*/) { return false; }
  virtual std::string why_not_kept(std::uint64_t, bool /*by_copy*/) { return "history is off"; }
  // The member `kept` for a change that a dead daemon did not come to tell: what this start has
  // found that it kept of the path. Null: nothing.
  virtual json::Value recovered(const std::string& /*path*/) { return {}; }
  // The version that is in the trash under this path; 0: none.
  virtual std::uint64_t trashed(const std::string& /*path*/) { return 0; }
  // On a full disk: history gives back what it holds beyond its share.
  virtual void make_room() {}
  // What trees and users may hold (kernel/quota.h).
  virtual Quotas quotas() { return {}; }
  // Keeps agents and programs from replacing what they have not seen; null: nothing does.
  virtual WriteGuard* guard() { return nullptr; }
  // Around the life of a file that lies ready to be renamed over another: what a crash leaves of it
  // is found by its path.
  virtual Status begin_temporary(const std::string& /*path*/) { return ok(); }
  virtual void end_temporary(const std::string& /*path*/) {}
  virtual void follow_temporaries(const std::string& /*from*/, const std::string& /*to*/,
                                  bool /*is_exchange*/) {}
  virtual Status sync() = 0;  // fsync: what was acknowledged survives power loss
  // An operation of a session of the host's kernel ("tree", "data"), for /sys/fs/stats; and
  // whether something that makes the mount faster is on, as of now.
  virtual void count(std::string_view session, std::string_view operation) = 0;
  virtual void feature(std::string_view, bool) {}
  virtual const Clock& clock() = 0;
  virtual EventLoop& loop() = 0;
  virtual WorkerPool& notices() = 0;  // one thread, on which Invalidators are called
};

}  // namespace agentfs::vfs
