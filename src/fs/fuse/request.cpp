// SPDX-License-Identifier: MIT
#include "fs/fuse/request.h"

#include <fcntl.h>

namespace agentfs::fuse {

FuseRequest::FuseRequest(fuse_req_t request, vfs::Services& services, CallerResolver& resolver,
                         Way way)
    : request_(request),
      context_(*::fuse_req_ctx(request)),
      services_(services),
      resolver_(resolver),
      way_(way) {}

const HostCaller& FuseRequest::host() const {
  if (!host_) {
    host_ = resolver_.resolve(context_.pid, context_.uid, context_.gid, services_.asks_for_child());
  }
  return *host_;
}

const Caller& FuseRequest::caller() const {
  if (!caller_) caller_ = services_.identify(host());
  return *caller_;
}

Result<Caller> FuseRequest::writer() const { return services_.ensure_caller(host()); }

TreeCaller FuseRequest::tree() const {
  return {.uid = context_.uid,
          .gid = context_.gid,
          .pid = context_.pid,
          .umask = context_.umask & 0777U};
}

pid_t FuseRequest::process() const { return host_ ? host_->pid : resolver_.group_of(context_.pid); }

bool FuseRequest::may_block() const { return (way_.open_flags & O_NONBLOCK) == 0; }

bool FuseRequest::is_interrupted() const { return ::fuse_req_interrupted(request_) != 0; }

bool FuseRequest::appends() const { return (way_.open_flags & O_APPEND) != 0; }

}  // namespace agentfs::fuse
