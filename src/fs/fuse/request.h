// SPDX-License-Identifier: MIT
// A held request of the host's kernel, as vfs sees it.
#pragma once

#include <optional>

#include "fs/fuse/host_caller.h"
#include "fs/fuse/libfuse.h"
#include "fs/vfs/node.h"
#include "fs/vfs/services.h"

namespace agentfs::fuse {

// Lives on the stack of the worker that dispatches it; gone before a parked reply is sent.
class FuseRequest final : public vfs::Request {
 public:
  struct Way {
    int open_flags = 0;
    vfs::Part part = vfs::Part::whole;
    bool drops_set_id = false;
    bool is_written_back = false;
  };
  FuseRequest(fuse_req_t request, vfs::Services& services, CallerResolver& resolver, Way way);
  const HostCaller& host() const override;
  const Caller& caller() const override;
  Result<Caller> writer() const override;
  TreeCaller tree() const override;
  pid_t process() const;  // as of host(), but not asked about again; 0: not known
  bool may_block() const override;
  vfs::Part part() const override { return way_.part; }
  bool drops_set_id() const override { return way_.drops_set_id; }
  bool is_interrupted() const override;
  bool is_written_back() const override { return way_.is_written_back; }
  bool appends() const override;
  void put_elsewhere() override { is_elsewhere_ = true; }
  bool is_elsewhere() const { return is_elsewhere_; }

 private:
  const fuse_req_t request_;
  const fuse_ctx& context_;
  vfs::Services& services_;
  CallerResolver& resolver_;
  Way way_;
  bool is_elsewhere_ = false;
  mutable std::optional<HostCaller> host_;
  mutable std::optional<Caller> caller_;
};

}  // namespace agentfs::fuse
