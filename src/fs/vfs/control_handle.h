// SPDX-License-Identifier: MIT
// Control and setting files, open for writing: each line is executed inside write(2).
#pragma once

#include <string>

#include "fs/vfs/line_handle.h"

namespace agentfs::vfs {

class ControlHandle final : public LineHandle {
 public:
  using LineHandle::LineHandle;

 private:
  void run(Caller author, Lines lines, Completion<std::string> done) override;
  Result<std::string> execute(const Caller& author, const std::string& line);
  void keep_result(const std::string& line, const Result<std::string>& result);
};

}  // namespace agentfs::vfs
