// SPDX-License-Identifier: MIT
// Old contents of files in the data trees, as plain files.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/xattrs.h"

namespace agentfs {

// What a kept content is called: a number that is never given twice, and the path that it had,
// which the file's name on the disk carries too: so a content whose row was never written is still
// known by its path, and with the daemon gone `ls` finds it.
struct PastName {
  std::uint64_t number = 0;
  std::string path{};
  bool whole = true;  // false: too long to be carried, and not known; `path` is its beginning
  std::string now{};  // of list(): the path that it belongs to by now, where that is another
};

// What was kept of a file as it is.
struct KeptFile {
  std::uint64_t number = 0;
  bool is_link = false;  // one more name of its inode; else a copy
};

// Threads: all. A content is there whole or not at all, whenever the daemon is killed. Errors: the
// disk's own (ENOSPC, EIO, …), ENOENT for what is not kept.
class PastStore {
 public:
  virtual ~PastStore() = default;
  // A number that was never given before.
  virtual std::uint64_t next() = 0;
  // Numbers up to this one have been given, even where nothing of them is left.
  virtual void reserve(std::uint64_t last) = 0;
  // Keeps the inode itself by one more name; where the disk cannot (EXDEV, EMLINK, EPERM), a copy.
  // `file` is a descriptor of it, O_PATH is enough. EBUSY: its bytes are lent and have changed.
  virtual Result<KeptFile> keep_link(int file, const std::string& path) = 0;
  // Keeps what `move` puts there, under a name that nothing has in an open directory of the store's
  // disk; its error where it fails.
  using MoveThere = std::function<Status(int directory, const std::string& name)>;
  virtual Result<std::uint64_t> keep_moved(const std::string& path, const MoveThere& move) = 0;
  // Keeps a copy with mode, times, extended attributes and, as root, owner: shared blocks where the
  // disk can, holes stay holes.
  virtual Result<std::uint64_t> keep_copy(int file, const std::string& path) = 0;
  // What was kept by a link becomes a copy: the inode is about to change under somebody's hand.
  // What has been dropped needs nothing.
  virtual Status separate(const PastName& name) = 0;
  // For reading, also what its mode closes to its owner; of a lent file, where its bytes lie.
  virtual Result<UniqueFd> open(const PastName& name) const = 0;
  virtual Result<Xattrs> xattrs(const PastName& name) const = 0;  // of what was kept itself
  // Copies survive a power cut when it returns; those that have been dropped need nothing.
  virtual Status sync(std::span<const PastName> names) const = 0;
  virtual Status sync_all() const = 0;
  virtual Result<struct stat> attributes(const PastName& name) const = 0;
  // A directory on its way was renamed, and no row tells of it yet: for list() alone.
  virtual Status note_moved(const PastName& name, const std::string& path) = 0;
  // By another path from now on, which is short enough for a name; the number stays.
  virtual Status rename(const PastName& name, const std::string& path) = 0;
  // What is not there is dropped already.
  virtual Status drop(const PastName& name) = 0;
  virtual Result<std::vector<PastName>> list() const = 0;  // in no order
  // Of the disk; up to a second old.
  virtual Result<struct statvfs> statistics(bool afresh = false) const = 0;
};

}  // namespace agentfs
