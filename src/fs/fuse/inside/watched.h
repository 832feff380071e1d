// SPDX-License-Identifier: MIT
// Which inodes of a session somebody watches (inotify, fanotify). Inside agentfs-announce only.
#pragma once

#include <cstdint>
#include <vector>

namespace agentfs::fuse {

// The session's numbers of them, ascending. `device` as statx(2) gives it, its major number in the
// upper half. Of processes that this one may look into: all for root, one's own for others. The
// format is that of proc_pid_fdinfo(5).
std::vector<std::uint64_t> watched_nodes(std::uint64_t device);

}  // namespace agentfs::fuse
