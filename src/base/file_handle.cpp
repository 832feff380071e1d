// SPDX-License-Identifier: MIT
#include "base/file_handle.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstring>

namespace agentfs {
namespace {

// The kernel's file_handle with room for the longest.
struct HandleBuffer {
  alignas(file_handle) char bytes[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes); }
};

}  // namespace

FileHandle read_handle(int fd, int& mount) {
  HandleBuffer buffer;
  buffer.get()->handle_bytes = MAX_HANDLE_SZ;
  if (::name_to_handle_at(fd, "", buffer.get(), &mount, AT_EMPTY_PATH) != 0) return {};
  const file_handle& handle = *buffer.get();
  return {handle.handle_type,
          std::string(reinterpret_cast<const char*>(handle.f_handle), handle.handle_bytes)};
}

UniqueFd open_handle(int mount, const FileHandle& handle, int flags) {
  HandleBuffer buffer;
  if (handle.bytes.size() > MAX_HANDLE_SZ) {
    errno = EINVAL;
    return {};
  }
  buffer.get()->handle_type = handle.type;
  buffer.get()->handle_bytes = static_cast<unsigned>(handle.bytes.size());
  std::memcpy(buffer.get()->f_handle, handle.bytes.data(), handle.bytes.size());
  // While the number is being given to a new file, ext4 says ENOMEM of the one that had it before
  // (iget_locked() finds an inode that is not to be had yet), and ESTALE from then on.
  constexpr int kAttempts = 100;
  int file = ::open_by_handle_at(mount, buffer.get(), flags);
  for (int attempt = 1; file < 0 && errno == ENOMEM && attempt < kAttempts; ++attempt) {
    ::sched_yield();
    file = ::open_by_handle_at(mount, buffer.get(), flags);
  }
  return UniqueFd(file);
}

}  // namespace agentfs
