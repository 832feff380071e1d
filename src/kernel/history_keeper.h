// SPDX-License-Identifier: MIT
// What the kernel does with old contents of the data trees (kernel/history.h).
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/past_store.h"
#include "base/hold.h"
#include "base/mutex.h"
#include "kernel/caller.h"
#include "kernel/history.h"
#include "kernel/retention.h"
#include "kernel/seen_history.h"

namespace agentfs {

class ClockSteps;
class Kernel;
class VersionsInUse;

struct Forgetting {
  std::vector<FileVersionRef> gone;
  std::vector<FileVersionRef> for_others;  // only their own paths forget these
};

// A part of its kernel, without a state of its own: what is known is the fold's, what is kept the
// past store's. Threads: all.
class HistoryKeeper {
 public:
  // The others are the kernel's: of all its keepers one at a time forgets.
  HistoryKeeper(Kernel& kernel, Mutex<Rank::document>& emptying, ClockSteps& clock_steps,
                VersionsInUse& in_use)
      : kernel_(kernel), emptying_(emptying), clock_steps_(clock_steps), in_use_(in_use) {}

  bool is_on() const;
  // Why a content of this size, without holes, is not kept, by one more name or by copy; "" where
  // it is.
  std::string why_not_kept(std::uint64_t size, bool by_copy) const;
  // Of the path, what was found at a start and is told by no row of a change: its member `kept`.
  json::Value recovered(const std::string& path) const;
  // Of the directory that is a workspace or home: whose it is.
  Result<struct stat> root_attributes(const std::string& root) const;
  // May this caller see and restore old contents below the root of a workspace or home? EACCES.
  Status may_see(const Caller& caller, const std::string& root) const;
  // The same, and what of it: EACCES.
  Result<Horizon> horizon(const Caller& caller, const std::string& root) const;
  Status look(const Caller& caller, const std::string& root,
              const std::function<void(const SeenHistory&)>& look) const;
  // Whether the caller may read what a file held: who has the workspace may not read all that is in
  // it. Beyond one's own that depends on ACLs and on the directories that it lay in, of then; the
  // snapshots have those.
  bool may_read(const Caller& caller, const struct stat& file) const;
  // What cannot be undone is a person's to do: EPERM for an agent.
  Status may_destroy(const Caller& caller, const std::string& path) const;
  // Of other users' files only root and the mount's owner take back or forget versions: EACCES.
  Status check_own(const Caller& caller, const std::vector<FileVersionRef>& versions) const;
  // What was kept of a path after the old content of this number, oldest first.
  std::vector<FileVersionRef> kept_since(const std::string& path, std::uint64_t number) const;
  // Nothing where it is no file, or its bytes are not to be had.
  std::optional<std::string> text_of(const FileVersion& version) const;
  // Without a number: what is in the trash at or below the path, else its newest version. ENOENT
  // with what there is; EINVAL for a path that leads out of `root`; EBUSY what is being brought
  // back is not forgotten.
  Result<std::string> restore(const Caller& caller, const std::string& root,
                              const std::string& path, std::optional<std::uint64_t> version);
  Result<std::string> forget(const Caller& caller, const std::string& root, const std::string& path,
                             std::optional<std::uint64_t> version);
  // Drops what is older or more than /etc/history.toml allows; how many. `by_rules`: also what
  // .gitignore names, with which all there is has to be matched. Blocks on the disk.
  Result<std::size_t> empty(bool by_rules = true);
  VersionsInUse& in_use() const { return in_use_; }
  // A time as the clock is now: what is kept for days goes by it.
  std::int64_t by_now(std::int64_t time) const;
  // The older half goes, for removals on a full disk: their rows need room. Blocks on the disk.
  Result<std::size_t> give_way();
  // Whether it holds a quarter more than its share of the disk, or of the disk's inodes.
  bool overflows() const;
  // At a start: what the rows say and what is on the disk may differ by what a crash cut short.
  Status settle();

 private:
  // A content that no row tells of: kept, but the daemon died before the row.
  Status adopt(PastName name);
  // What nobody brings back stays in `which`, and nobody will while the first lives. One of those
  // that do not stay, or null.
  std::pair<Hold, FileVersionRef> claim(Forgetting& which);
  // The contents first, then the row; what a crash cuts short the next start ends.
  Status drop(const Caller& caller, const Forgetting& which, std::string_view reason);
  Status drop_now(const Caller& caller, const Forgetting& which, std::string_view reason);
  void resume_drops();

  Result<Retention> limits() const;
  bool is_due(const Retention& limits, bool by_rules) const;
  Result<std::size_t> empty_to(const Retention& limits, bool by_rules) REQUIRES(emptying_);

  Kernel& kernel_;
  Mutex<Rank::document>& emptying_;
  ClockSteps& clock_steps_;
  VersionsInUse& in_use_;
};

}  // namespace agentfs
