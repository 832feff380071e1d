// SPDX-License-Identifier: MIT
// File handles (name_to_handle_at(2)): never another file's on the same disk, also when the inode
// number has been given again.
#pragma once

#include <string>

#include "base/file.h"

namespace agentfs {

// What the kernel gives to open a file by, inode generation included; no bytes: there is none.
struct FileHandle {
  int type = 0;
  std::string bytes;
  friend bool operator==(const FileHandle&, const FileHandle&) = default;
};

// Of an open file, O_PATH or not, and the number of the mount it was opened on. No bytes where the
// disk has no handles.
FileHandle read_handle(int fd, int& mount);

// Opens (open_by_handle_at(2)) what `mount`, an open file of the same disk, has it for. Invalid
// where it cannot be had; errno says why: ESTALE where the file has gone, EINVAL for no handle.
UniqueFd open_handle(int mount, const FileHandle& handle, int flags);

}  // namespace agentfs
