// SPDX-License-Identifier: MIT
// Reply files, open for writing: each line is a request, the write parks until its answer is there.
#pragma once

#include "fs/vfs/line_handle.h"

namespace agentfs::vfs {

class ReplyHandle final : public LineHandle {
 public:
  using LineHandle::LineHandle;

 private:
  void run(Caller author, Lines lines, Completion<std::string> done) override;
};

}  // namespace agentfs::vfs
