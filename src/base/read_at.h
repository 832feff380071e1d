// SPDX-License-Identifier: MIT
// Reading a part of an open file whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace agentfs {

// `count` bytes from `offset`, fewer only where the file ends. The file's own position stays.
Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t count);

}  // namespace agentfs
