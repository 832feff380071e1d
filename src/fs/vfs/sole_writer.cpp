// SPDX-License-Identifier: MIT
#include "fs/vfs/sole_writer.h"

namespace agentfs::vfs {

Status SoleWriter::check(const Request& request, const std::string& path) const {
  if (is(request)) return ok();
  const HostCaller& writer = request.host();
  if (writer.uid == uid_) {
    return fail(EPERM,
                "{}: opened by group {} of uid {}, written by group {}; who writes opens it, since "
                "what it does is done with the rights of who writes",
                path, gid_, uid_, writer.gid);
  }
  return fail(EPERM,
              "{}: opened by uid {}, written by uid {}; who writes opens it, since what it does is "
              "done with the rights of who writes",
              path, uid_, writer.uid);
}

}  // namespace agentfs::vfs
