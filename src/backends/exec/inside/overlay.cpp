// SPDX-License-Identifier: MIT
#include "backends/exec/inside/overlay.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace agentfs::exec {
namespace {

// As a path without a character that the options of a mount know, which a host path may have.
std::string plain_path(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail_with("overlay: " + directory);
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace

// redirect_dir: a directory is renamed without copying it. index: hard links stay what they are.
// Not volatile: what the command syncs is on the disk.
void mount_overlay(const Spec& spec) {
  const OverlaySpec& overlay = spec.overlay;
  if (overlay.inside.empty()) return;
  if (::unshare(CLONE_NEWNS) != 0) fail_with("overlay: mount namespace");
  // What is mounted and unmounted outside is seen here, and not the other way round.
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) fail_with("overlay: mounts");
  const std::string options =
      "redirect_dir=on,index=on,metacopy=off,lowerdir=" + plain_path(overlay.lower) +
      ",upperdir=" + plain_path(overlay.upper) + ",workdir=" + plain_path(overlay.work);
  if (::mount("overlay", overlay.upper.c_str(), "overlay", MS_NOSUID | MS_NODEV, options.c_str()) !=
      0) {
    const int code = errno;
    fail_with(std::string("overlay: cannot be mounted here (") + std::strerror(code) +
                  "); fs=coherent would do",
              ENOTSUP);
  }
}

// Without the mount over it the upper directory is what was bound.
void check_overlay(const Spec& spec) {
  if (spec.overlay.inside.empty()) return;
  struct statfs seen{};
  if (::statfs(spec.overlay.inside.c_str(), &seen) != 0) fail_with("overlay: inside");
  if (seen.f_type == OVERLAYFS_SUPER_MAGIC) return;
  fail_with("overlay: is gone before the command began; run it again, or with fs=coherent", ESTALE);
}

}  // namespace agentfs::exec
