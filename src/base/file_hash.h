// SPDX-License-Identifier: MIT
// The hash of a file that need not fit in memory.
#pragma once

#include <functional>
#include <string>

#include "base/error.h"

namespace agentfs::file {

// blake2b() of what a descriptor has, from its beginning; its offset stays. EIO. `is_unwanted` is
// asked now and then: EINTR.
Result<std::string> blake2b(int fd, const std::function<bool()>& is_unwanted = {});

}  // namespace agentfs::file
