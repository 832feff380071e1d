// SPDX-License-Identifier: MIT
// File handles (name_to_handle_at(2)): never another file's on the same disk, also when the inode
// number has been given again.
#pragma once

#include <fcntl.h>

#include <string>

namespace agentfs {

// The kernel's file_handle with room for the longest.
struct HandleBuffer {
  alignas(file_handle) char bytes[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes); }
};

// What the kernel gives to open a file by, inode generation included; no bytes: there is none.
struct FileHandle {
  int type = 0;
  std::string bytes;
  friend bool operator==(const FileHandle&, const FileHandle&) = default;
};

// Of an open file, O_PATH or not, and the number of the mount it was opened on. No bytes where the
// disk has no handles.
FileHandle read_handle(int fd, int& mount);

}  // namespace agentfs
