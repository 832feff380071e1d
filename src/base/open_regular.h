// SPDX-License-Identifier: MIT
// A file's bytes, and nothing else that may lie in its place.
#pragma once

#include <string>

#include "base/error.h"
#include "base/file.h"

namespace agentfs::file {

// For reading. EBADMSG where a link, a FIFO or anything else is there that is no regular file;
// never waits for the other end of one. Of the disk's own otherwise.
Result<UniqueFd> open_regular(const std::string& path);

}  // namespace agentfs::file
