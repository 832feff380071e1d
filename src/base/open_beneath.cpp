// SPDX-License-Identifier: MIT
#include "base/open_beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace agentfs::file {
namespace {

UniqueFd open_so(int directory, const std::string& path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  return UniqueFd(
      static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

}  // namespace

UniqueFd open_beneath(int directory, const std::string& path, int flags, Links links) {
  constexpr std::uint64_t kStay = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (links == Links::beneath) return open_so(directory, path, flags, kStay);
  return open_so(directory, path, flags | O_NOFOLLOW, kStay | RESOLVE_NO_SYMLINKS);
}

UniqueFd open_without_links(const std::string& path, int flags) {
  return open_so(AT_FDCWD, path, flags | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
}

}  // namespace agentfs::file
