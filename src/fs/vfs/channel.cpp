// SPDX-License-Identifier: MIT
#include "fs/vfs/channel.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace agentfs::vfs {
namespace {

// A file that is open costs a descriptor, and another one when it loses its name; an eighth, and
// what a daemon without any files has, is for its own work.
std::size_t most_open_files() {
  constexpr rlim_t kOwn = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return SIZE_MAX;
  const rlim_t rest = limit.rlim_cur - limit.rlim_cur / 8;
  return std::max(rest / 2, rest - std::min(rest, kOwn)) / 2;
}

}  // namespace

Channel::Channel(NodeRef root) : nodes_(std::move(root)), most_open_(most_open_files()) {}

std::uint64_t Channel::keep(std::shared_ptr<Handle> handle, uid_t uid) {
  return handles_.keep(std::move(handle), uid);
}

// Others than root and who has mounted leave these a quarter.
Status Channel::may_open(uid_t uid) {
  const bool is_ruler = uid == 0 || uid == ::geteuid();
  if (handles_.size() >= (is_ruler ? most_open_ : most_open_ - most_open_ / 4)) {
    return fail(ENFILE,
                "{} files are open here, as many as the daemon's limit of open files allows",
                handles_.size());
  }
  if (is_ruler || handles_.size(uid) < most_open_ / 2) return ok();
  return fail(ENFILE, "uid {} has {} files open here, as many as one user may", uid,
              most_open_ / 2);
}

void Channel::set_invalidator(Invalidator* invalidator) {
  Lock lock(mutex_);
  invalidator_ = invalidator;
}

Invalidator* Channel::invalidator() {
  Lock lock(mutex_);
  return invalidator_;
}

void Channel::close() {
  for (const auto& handle : handles_.clear()) handle->abandon();
  nodes_.clear();
}

}  // namespace agentfs::vfs
