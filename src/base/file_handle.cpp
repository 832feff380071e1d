// SPDX-License-Identifier: MIT
#include "base/file_handle.h"

namespace agentfs {

FileHandle read_handle(int fd, int& mount) {
  HandleBuffer buffer;
  buffer.get()->handle_bytes = MAX_HANDLE_SZ;
  if (::name_to_handle_at(fd, "", buffer.get(), &mount, AT_EMPTY_PATH) != 0) return {};
  const file_handle& handle = *buffer.get();
  return {handle.handle_type,
          std::string(reinterpret_cast<const char*>(handle.f_handle), handle.handle_bytes)};
}

}  // namespace agentfs
