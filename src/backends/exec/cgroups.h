// SPDX-License-Identifier: MIT
// Limits of memory and processes by control groups, of version 1 or 2, whichever is there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/exec_driver.h"
#include "base/error.h"
#include "base/file.h"

namespace agentfs::exec {

// Where groups can be made. Empty: not to be had here. Ours for as long as the locks are held.
struct CgroupPlaces {
  std::string memory;   // version 1: the directory our groups lie in
  std::string pids;     // version 1
  std::string unified;  // version 2, with both controllers
  std::vector<UniqueFd> locks;
  bool limits_memory() const { return !memory.empty() || !unified.empty(); }
  bool limits_processes() const { return !pids.empty() || !unified.empty(); }
};

// Finds a writable directory at or above the cgroup of this process, so that limits set on the
// daemon hold for its commands too, and makes a place there; removes the places that daemons which
// no longer run have left beside it. Each call makes a place of its own, to be removed with
// remove_cgroup_places(). The texts are those of /proc/self/mountinfo and /proc/self/cgroup.
CgroupPlaces find_cgroup_places(std::string_view mountinfo, std::string_view own);
CgroupPlaces find_cgroup_places();
void remove_cgroup_places(const CgroupPlaces& places);

// The groups of one command. They are made and joined by agentfs-sandbox, which is given fields();
// here they are read and removed. Use on the event thread: each call is some microseconds.
class CommandGroups {
 public:
  CommandGroups() = default;
  CommandGroups(const CgroupPlaces& places, std::uint64_t number);

  // What goes into the specification (inside/protocol.h).
  std::string fields(const ExecLimits& limits) const;
  bool ran_out_of_memory() const;
  void kill_all() const;
  // False while the kernel still holds a dying process in one: try again.
  bool remove() const;

 private:
  std::string memory_;
  std::string pids_;
  std::string unified_;
};

}  // namespace agentfs::exec
