// SPDX-License-Identifier: MIT
#include "fs/vfs/channel.h"

namespace agentfs::vfs {

std::uint64_t Channel::keep(std::shared_ptr<Handle> handle) {
  return handles_.keep(std::move(handle));
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
