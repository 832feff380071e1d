// SPDX-License-Identifier: MIT
// Of tests/mount/dead_daemons.py: preloaded into the daemon, it holds every answer to the host's
// kernel back for as long as the file $HELD_REPLIES is there. What the daemon says by itself, that
// a name is over, goes out.
#include <dlfcn.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>

extern "C" ssize_t writev(int file, const iovec* parts, int count) {
  using Writev = ssize_t (*)(int, const iovec*, int);
  static const auto next = reinterpret_cast<Writev>(::dlsym(RTLD_NEXT, "writev"));
  const char* const flag = std::getenv("HELD_REPLIES");
  const bool is_message = count > 0 && parts[0].iov_len == sizeof(fuse_out_header);
  if (flag != nullptr && is_message && static_cast<fuse_out_header*>(parts[0].iov_base)->unique) {
    while (::access(flag, F_OK) == 0) ::usleep(10'000);
  }
  return next(file, parts, count);
}
