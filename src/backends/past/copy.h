// SPDX-License-Identifier: MIT
// Copies of whole files.
#pragma once

#include <sys/stat.h>

#include "base/error.h"

namespace agentfs::past {

// The bytes of `from` into the empty file `to`: small ones through memory, others by shared blocks
// where the disk can (FICLONE), else in the kernel. Holes stay holes.
Status copy_bytes(int from, int to, const struct stat& attributes);
// Extended attributes, owner, mode and times, as far as this process may set them.
void copy_attributes(int from, int to, const struct stat& attributes);

}  // namespace agentfs::past
