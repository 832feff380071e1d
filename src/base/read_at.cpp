// SPDX-License-Identifier: MIT
#include "base/read_at.h"

#include <unistd.h>

namespace agentfs {

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t count) {
  std::string bytes;
  int code = 0;
  bytes.resize_and_overwrite(count, [&](char* text, std::size_t) {
    std::size_t done = 0;
    while (done < count) {
      const ssize_t got = ::pread(fd, text + done, count - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) code = errno;
      if (got <= 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  });
  if (code != 0) return fail_errno(code, "read");
  return bytes;
}

}  // namespace agentfs
