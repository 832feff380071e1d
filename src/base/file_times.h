// SPDX-License-Identifier: MIT
// What the times of a file tell of changes that came after a look at it.
#pragma once

#include <sys/stat.h>

namespace agentfs {

// Two changes within one tick of the clock (1 to 10 ms; on disks that keep whole seconds, 1 or 2 s)
// leave a file with equal times: a time tells nothing until the clock has passed it. Where the
// kernel gives a change that follows a look a time of its own (Linux 6.13, of ext4, XFS, Btrfs and
// tmpfs), it does at once. Threads: all.

// Finds out once which of the two the disk of an open directory does, by files without a name in
// it. Of a disk that was not asked about, or that has no such files, the first is believed.
void learn_times(int directory);
// Whether a change of the file from now on gives it another st_ctim, or a write to it another
// st_mtim, than it was seen with. What was read of it before says nothing of that.
bool tells_changes(const struct stat& seen);
bool tells_writes(const struct stat& seen);
// Until tells_changes(): what is read of the file then is of before all changes that move the time.
void await_telling(const struct stat& seen);

}  // namespace agentfs
