// SPDX-License-Identifier: MIT
// Daemons that are dead and cannot go. A thread of a killed daemon may wait, in the host's kernel,
// for the lock of a directory that a client holds until the daemon answers it: neither ends, and
// the daemon's /dev/fuse and its lock of the state stay as they are. What clients wait for must
// fail first. No daemon is asked, and no path of a mount is walked.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace agentfs {

// The fields of /proc/PID/stat from the third, the state, on; none for what is no process.
std::vector<std::string> stat_fields(pid_t process);

// Whether it is a daemon of ours that was killed, or has ended, and threads of it are left. It is
// so for moments only, as a rule. Another program that has a dead daemon's pid by now is none.
bool is_dying(pid_t daemon);

// Fails what clients wait for in the mount and in those of its trees, now and for good: as a daemon
// does that dies. The mount stays where it is, so that nobody's work ends up in the directory
// underneath; false where the host's kernel offers no way but one that may take it away.
bool cut_off(const std::string& mountpoint);

// Gives a dying daemon a moment; then cuts off the mounts that it serves, or the one at
// `mountpoint` where the host's kernel does not say which these are (before Linux 6.18). Returns
// when it has gone; EBUSY where it has not after some seconds, as when an ordinary user may not cut
// it off. Nothing is done for a process that is not dying.
Status end_dying(pid_t daemon, const std::string& mountpoint);
// The same for all that are dying and serve, or may serve, the mount.
Status end_dying_servers(const std::string& mountpoint);

}  // namespace agentfs
