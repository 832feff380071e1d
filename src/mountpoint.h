// SPDX-License-Identifier: MIT
// Mounts of agentfs on this host: found, cleaned when stale, taken down.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace agentfs {

enum class MountState { none, alive, stale };

// Does `path` carry a mount of agentfs, and does its daemon still answer? A daemon that hangs is
// alive by this measure; the answer never waits for it longer than a second.
MountState mount_state(const std::string& path);
// Whether statfs(2) of it is answered; the daemon that is asked may be this one.
bool answers_within(const std::string& path, std::chrono::milliseconds patience);
bool is_mounted(const std::string& path);  // alive or not; asks no daemon
// The file system mounted there, as the host's kernel numbers it ("0:45"); "" where none of ours
// is. It is mounted for as long as it is somewhere in this process's table of mounts.
std::string mounted_device(const std::string& path);
std::vector<std::string> mounted_devices(const std::string& path);  // and what it covers
bool is_device_mounted(const std::string& device);
// Takes the mount down. EBUSY when files are open on it, unless `lazy`.
Status unmount(const std::string& path, bool lazy);
// Who has files open on the mount or stands in it, as far as this user may see: "bash (pid 7), vim
// (pid 9)"; "" where nobody but this process is seen. Asks the host only, not the daemon.
std::string users_of(const std::string& path);
// The absolute path of an existing directory, without touching what is mounted on it; of so many
// links one after the other, where they lead.
Result<std::string> absolute_path(const std::string& path, int links = 40);
// The host process that serves the mount, by its /sys/kernel/pid; nothing when it does not answer
// for so long.
std::optional<int> serving_daemon(const std::string& path, std::chrono::milliseconds patience);

}  // namespace agentfs
