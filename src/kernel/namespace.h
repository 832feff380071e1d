// SPDX-License-Identifier: MIT
// Paths of the mount, as an agent process reaches them without going through the host's kernel.
// fs/vfs implements it; main hands it to the kernel.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/past_store.h"
#include "backends/tree_store.h"
#include "base/completion.h"
#include "base/error.h"
#include "base/growth.h"
#include "base/hold.h"
#include "kernel/caller.h"
#include "kernel/quota.h"
#include "kernel/tree_change.h"

namespace agentfs {

struct NamespaceEntry {
  std::string name;
  mode_t type = 0;  // S_IFREG, S_IFDIR, S_IFLNK, …
  std::uint64_t size = 0;
};

// Something of a data tree as it shall be again.
struct RestoreStep {
  std::string path;
  mode_t mode = 0;  // type and permission bits
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t modified = 0;  // mtime, nanoseconds
  std::string target{};       // of a symbolic link
  Xattrs xattrs{};            // of what has no content in the past
  // A step before it, of whose file this is one more name; where that one is no more, what follows.
  std::string other{};
  PastName content{};  // number 0: an empty file, or one whose bytes are elsewhere:
  std::function<Result<std::unique_ptr<TreeFile>>()> bytes{};
  bool is_again = false;  // a directory that is there gets these attributes, too
  // Nothing had the name when this was planned: what others have given it since stays. Of no
  // directory.
  bool is_missing = false;
};

// How a restore goes.
struct RestoreCourse {
  bool is_resumed = false;                     // by a start: what came back before may be there
  std::function<void(std::size_t)> reached{};  // after each step: how many are done
  std::vector<std::string> left{};             // paths that others have given something meanwhile
};

// Threads: all. Paths are absolute paths of the mount ("/workspaces/site/main.c"); symlinks are
// followed within it. Every change is made with the caller's lineage, as if written through the
// mount, and the host's caches of the mount are told before the call returns. Errors: as the same
// operation on the mount.
class Namespace {
 public:
  virtual ~Namespace() = default;
  virtual Result<struct stat> attributes(const Caller&, const std::string& path) = 0;
  // At most `limit` bytes from `offset`; limit 0: all of it (at most 64 MiB, else EMSGSIZE).
  virtual Result<std::string> read(const Caller&, const std::string& path, std::uint64_t offset,
                                   std::uint64_t limit) = 0;
  // All of it, for the daemon's own use: the process of the caller has not seen it, so that what it
  // writes next is judged by what it saw before.
  virtual Result<std::string> peek(const Caller& caller, const std::string& path) {
    return read(caller, path, 0, 0);
  }
  // Data and document files only: replaces the whole text, by temporary file and rename for data.
  // Makes the file where there is none, and missing directories below a data tree.
  virtual Status write(const Caller&, const std::string& path, std::string_view text) = 0;
  // The same with a text that is made of what is there (peek()), and made anew where somebody has
  // written to that meanwhile: whatever a process has not seen is in it. EBUSY: all the time.
  virtual Status edit(const Caller& caller, const std::string& path,
                      const std::function<Result<std::string>()>& text) {
    return write(caller, path, TRY(text()));
  }
  // The same of a data file with a text that is made while nobody else gives the name another file.
  // EBUSY also where the host's caches could not be told, so that some may go on to read what was
  // there.
  virtual Status rewrite(const Caller& caller, const std::string& path,
                         const std::function<Result<std::string>()>& text) {
    return write(caller, path, TRY(text()));
  }
  virtual Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) = 0;
  // A file, a link, or a directory with all in it (data trees only).
  virtual Status remove(const Caller&, const std::string& path) = 0;
  // Whether the caller may do this (R_OK, W_OK, X_OK), as access(2). EACCES.
  virtual Status access(const Caller&, const std::string& path, int mask) = 0;
  // In this order, each a change by the caller that keeps what it replaces; directories that are
  // missing are made, those that are there stay. Contents are copied, never shared. No link is
  // followed: where one, or a file, is in the place of a directory nothing is changed (ENOTDIR).
  virtual Status restore(const Caller&, const std::vector<RestoreStep>& steps,
                         RestoreCourse& course) = 0;
  Status restore(const Caller& caller, const std::vector<RestoreStep>& steps) {
    RestoreCourse unwatched;
    return restore(caller, steps, unwatched);
  }
  // All of a workspace or home is about to be kept as it is, or replaced: while what is returned
  // lives, nothing in it is opened past the daemon. EBUSY where something is. What programs have
  // written through mappings is part of it from then on.
  virtual Result<Hold> begin_snapshot(const std::string& path) = 0;
  // The files of a tree that somebody has open for writing now, by path.
  virtual std::vector<std::string> open_for_writing(const std::string& /*root*/) { return {}; }
  // Runs `keep` while nobody changes the bytes of this file, which lies below the root of a
  // workspace or home; `is_open`: somebody can write to it. What it has linked into the past, if
  // anything, it returns: that is a copy before the file changes all the same.
  using Keep = std::function<Result<std::optional<PastName>>(bool is_open)>;
  virtual Status keep_bytes(const std::string& /*root*/, const TreeNode& /*file*/,
                            const Keep& keep) {
    const auto kept = keep(false);
    return kept ? ok() : Status(std::unexpected(kept.error()));
  }
  // Runs `step`, by which another file takes the place of this one below the root of a workspace or
  // home, while nobody changes its bytes. When it has `lost` all of its names so, who has it open
  // writes to it no more (ESTALE). 0: it gets its place again, and takes writes.
  virtual Status exchange(const std::string& /*root*/, const TreeNode& /*file*/, nlink_t /*lost*/,
                          const std::function<Status()>& step) {
    return step();
  }
  // Files below it have more or fewer names than before: how many is asked for again. Directories
  // that have none any more: who watches one is told.
  virtual void links_changed(const std::string& /*root*/, const std::vector<TreeNodeRef>&) {}
  // What makes a directory at the top of a data tree, takes it away or puts another in its place: a
  // fork, a discard, a rollback. Of a directory that keeps its place `act` fills in the names that
  // were in it, as of its last moment; `tell`, if any, writes the row, which comes before those of
  // what is changed there from then on. What the mount shows follows.
  struct Exchange {
    std::function<Status(std::vector<std::string>& gone)> act;
    std::function<Status()> tell{};
  };
  virtual Status replace_tree(const std::string& path, const Exchange& exchange) = 0;
  // Runs `act`, which keeps the state that a whole tree has and writes its row, while no change of
  // names there stands between its making and its row, as far as that can be waited for.
  virtual Status between_changes(const std::string& /*root*/, const std::function<Status()>& act) {
    return act();
  }
  // What a tree or user holds (kernel/quota.h): counted where there is a limit, else by looking at
  // all of it, for some seconds at most. Blocks on the disk.
  virtual Result<Holding> holding(const std::string& /*subject*/) { return Holding{}; }
  // Until what it holds has been counted, so that its limits hold; for some seconds at most.
  virtual void await_count(const std::string& /*subject*/) {}
  // EDQUOT unless the tree, and each user of what it gets, could hold so much more now. Others who
  // ask get none of it while the hold lasts; plain writes, which cannot wait for it, may.
  virtual Result<Hold> hold_room(const std::string& /*path*/, const Growth&) { return Hold(); }
  // A tree was changed otherwise than through the mount or this interface; `anew`: it is another
  // state now, of which nothing is known.
  virtual void recount(const std::string& /*path*/, bool /*anew*/) {}
  // Data trees were changed otherwise than through the mount or this interface: the host's caches
  // are told before it returns, and who watches directories (inotify) soon after.
  virtual void refresh(const std::vector<TreeEvent>& changes) = 0;
  // Where what the .agentfs of a workspace or home has lies otherwise ("/.agentfs/home/bob"), when
  // relative links lead there from it: whoever binds the tree somewhere binds that, too.
  virtual std::optional<std::string> history_apart(const std::string& /*root*/) {
    return std::nullopt;
  }
  // Writes one command line to a control, reply, setting or message file and gives what reading
  // the same descriptor would.
  virtual void command(const Caller&, const std::string& path, std::string line,
                       Completion<std::string> reply) = 0;
};

}  // namespace agentfs
