// SPDX-License-Identifier: MIT
// What the forest does with whole files and directories of the disk, as the daemon.
#pragma once

#include <string>

#include "backends/trees/marks.h"
#include "base/directory.h"

namespace agentfs::trees {

// Owner, extended attributes but the forest's own marks, mode and times, in the order in which
// none undoes another.
Status copy_attributes(const Marks& marks, const Spot& from, const struct stat& attributes,
                       const Spot& to);
// The times of access and of change of content that `attributes` tell.
void restore_times(const Spot& spot, const struct stat& attributes);

// For its life, the daemon may change the entries of a directory whose mode forbids its owner to.
class OpenedMode {
 public:
  OpenedMode(bool needed, int directory);
  ~OpenedMode();
  OpenedMode(const OpenedMode&) = delete;
  OpenedMode& operator=(const OpenedMode&) = delete;

 private:
  std::string path_;
  std::optional<mode_t> before_;
};

// A new inode under `name` with the type, content and attributes of `from`, an O_PATH descriptor.
// `empty` leaves the content of a regular file out. `meanwhile` is called with the new file before
// its mode may forbid opening it. On errors nothing is left. Answers the bytes copied.
struct CopyOptions {
  bool empty = false;
  int made = -1;  // a nameless file of the same disk that has the content already
  std::function<Status(int descriptor)> meanwhile{};
  int rights = -1;  // the room of OwnerRights, where the daemon may have to lend itself some
};
Result<std::uint64_t> copy_inode(const Marks& marks, int from, int directory,
                                 const std::string& name, const CopyOptions& options = {});

// The bytes of a regular file, by an O_PATH descriptor of it, into one that is new; how many were
// copied.
Result<std::uint64_t> copy_content(int from, int to, const struct stat& attributes);

// An empty directory in `room`, for when the disk has no inode left. None is no error.
constexpr char kSpareDirectory[] = "spare";
void keep_spare_directory(int room);
// A new directory, which may be that one; where there is one it stays as it is.
Status make_directory(int directory, const char* name, int room);

// Removes a file, or a directory with all below it; what is gone already is no error.
Status remove_whole(int directory, const std::string& name);

}  // namespace agentfs::trees
