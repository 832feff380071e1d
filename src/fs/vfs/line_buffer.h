// SPDX-License-Identifier: MIT
// Text written to a descriptor, as whole lines.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace agentfs::vfs {

// One a descriptor; its owner locks. A write that fails takes nothing and moves nothing.
class LineBuffer {
 public:
  static constexpr std::size_t kLongest = 64U << 10U;

  // `counted`: a gap or an overlap between writes is an error, as on a write-only descriptor.
  explicit LineBuffer(bool counted) : counted_(counted) {}

  // The lines that `bytes` completes, without their newlines. EINVAL for a gap or an overlap;
  // EMSGSIZE for a line of more than 64 KiB: what was pending is dropped then.
  Result<std::vector<std::string>> add(off_t offset, std::string_view bytes);
  // The write whose lines were executed: the next one is expected behind it. A negative offset is
  // that of no write.
  void accept(off_t offset, std::size_t count);
  // What has no newline yet; it is taken out.
  std::string take_rest();
  bool empty() const { return pending_.empty(); }

 private:
  bool counted_;
  off_t expected_ = -1;
  std::string pending_;
};

}  // namespace agentfs::vfs
