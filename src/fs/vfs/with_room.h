// SPDX-License-Identifier: MIT
// Changes that find the disk full. Inside fs only.
#pragma once

#include <cerrno>

#include "fs/vfs/services.h"

namespace agentfs::vfs {

// with_room(services, change): what change() gives, a Result. What fails has not happened: once
// more where the disk is full, when history has given back what it holds beyond its share.
template <class Change>
auto with_room(Services& services, Change&& change) -> decltype(change()) {
  auto done = change();
  if (done || done.error().code != ENOSPC) return done;
  services.make_room();
  return change();
}

}  // namespace agentfs::vfs
