// SPDX-License-Identifier: MIT
// Files whose writes are still to be told.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "kernel/caller.h"
#include "kernel/tree_change.h"

namespace agentfs::vfs {

// What the host's kernel writes past the daemon is found by size and time of change, when a
// descriptor is closed; what comes through the daemon is known, and told then, too. A log says
// which there are, so that the start after the daemon's death can tell what those were that nobody
// closed; it is written before anything changes, and is the page cache's to keep.
// Threads: all. A log that cannot be written is told once and done without.
class BypassedFiles {
 public:
  // One that is open for writing, by `writers` descriptors; `author` opened the last of them.
  struct File {
    std::string path{};  // of the mount, when it was opened
    Caller author{};
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed = 0;  // mtime in nanoseconds
    bool is_unsure = false;    // a write since may have left it with that mtime
    unsigned writers = 0;
    bool is_written = false;  // through the daemon, which need not look
  };
  struct Change {
    std::uint64_t bytes = 0;  // by which it grew; 0: not known
    unsigned writers = 0;
    Caller author{};
    TreeChange row(std::string path) const;
  };

  explicit BypassedFiles(std::string log) : path_(std::move(log)) {}  // empty: keeps none

  // `file` names it for as long as one descriptor is open.
  void begin(const void* file, const Caller& author, std::string path, const struct stat& now);
  void end(const void* file);
  void rename(const void* file, std::string path);  // perhaps: it has this path now
  // The same of what is about to be written through the daemon, until end(): `open` names the
  // descriptor.
  void begin_written(const void* open, const Caller& author, std::string path,
                     const struct stat& now);
  void leave(
      const void* file);  // is not known any more, yet open: the next daemon's to account for
  // What has changed since this was asked last; told once. What may have changed unseen, since the
  // clock has not passed the last change, is told as well; but not at the release of a descriptor:
  // that comes right after the look at its close, and nobody waits for what it tells.
  std::optional<Change> look(const void* file, const struct stat& now, bool is_release = false);
  // What a file has become by a change that is told by other means.
  void settle(const void* file, const struct stat& now);

  // Those that a dead daemon left open; then, before any begin(), the log is begun anew.
  std::vector<File> left_behind() const;
  void start();
  static std::optional<Change> change_of(const File& before, const struct stat& now);

 private:
  struct Open {
    std::uint64_t number = 0;
    File file;
  };
  void add(const void* key, const Caller& author, std::string path, const struct stat& now,
           bool is_written) EXCLUDES(mutex_);
  void write(std::string_view line) REQUIRES(mutex_);
  void begin_log() REQUIRES(mutex_);
  void tell_amiss(const Error& error) REQUIRES(mutex_);  // once

  const std::string path_;
  Mutex<Rank::store> mutex_;
  UniqueFd log_ GUARDED_BY(mutex_);  // none: it is begun anew with the next line
  bool has_begun_ GUARDED_BY(mutex_) = false;
  bool is_amiss_ GUARDED_BY(mutex_) = false;
  std::size_t written_ GUARDED_BY(mutex_) = 0;  // bytes since the log was begun
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  std::map<const void*, Open> open_ GUARDED_BY(mutex_);
  std::vector<Open> left_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
