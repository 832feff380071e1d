// SPDX-License-Identifier: MIT
#include "base/open_regular.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace agentfs::file {

Result<UniqueFd> open_regular(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found{};
  // ENXIO: a socket, or a device that is not there.
  if (!fd && errno != ELOOP && errno != ENXIO) return fail_errno(path);
  if (fd && ::fstat(fd.get(), &found) != 0) return fail_errno(path);
  if (fd && S_ISREG(found.st_mode)) return fd;
  return fail(EBADMSG, "{}: is no file; `agentfs fsck` tells what is damaged", path);
}

}  // namespace agentfs::file
