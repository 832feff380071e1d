// SPDX-License-Identifier: MIT
#include "fs/vfs/channel.h"

#include <sys/resource.h>
#include <unistd.h>

namespace agentfs::vfs {
namespace {

std::size_t half_of_open_files() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 2 : SIZE_MAX;
}

}  // namespace

Channel::Channel(NodeRef root) : nodes_(std::move(root)), most_open_(half_of_open_files()) {}

std::uint64_t Channel::keep(std::shared_ptr<Handle> handle, uid_t uid) {
  return handles_.keep(std::move(handle), uid);
}

Status Channel::may_open(uid_t uid) {
  if (handles_.size() >= most_open_) {
    return fail(ENFILE, "{} files are open here, half of the daemon's limit of open files",
                most_open_);
  }
  const bool is_ruler = uid == 0 || uid == ::geteuid();
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
