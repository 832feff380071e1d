// SPDX-License-Identifier: MIT
#include "fs/vfs/stream_node.h"

#include <algorithm>

#include "base/permissions.h"

namespace agentfs::vfs {

// The size is 0: what it will give is not known, and nobody lists it.
Result<Attributes> StreamNode::attributes(Request&) {
  const mode_t mode = S_IFREG | (place_.info().mode & kPermissions);
  return Attributes{make_stat(*context_, place_.path, mode, context_->started), kForever};
}

Result<Opened> StreamNode::open(Request& request, int flags) {
  if (wants_write(flags)) return fail(EACCES, "{}: cannot be written", place_.path);
  TRY(place_.held(request.caller()));
  constexpr OpenFlags kFlags{.direct_io = true};
  if (place_.info().kind == Kind::wait) {
    context_->undelivered.deliver(session_of(request), parent_path(place_.path));
    return Opened{std::make_shared<WaitHandle>(context_, place_), kFlags};
  }
  const auto handle = std::make_shared<FollowHandle>(context_, place_);
  TRY(handle->subscribe(request));
  return Opened{handle, kFlags};
}

}  // namespace agentfs::vfs
