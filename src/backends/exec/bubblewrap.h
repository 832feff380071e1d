// SPDX-License-Identifier: MIT
// The bubblewrap that is installed, and the arguments that make a sandbox of it.
#pragma once

#include <string>
#include <vector>

#include "backends/exec_driver.h"
#include "base/error.h"
#include "base/spawn.h"

namespace agentfs::exec {

// What is installed here. Found once; a value.
struct Bubblewrap {
  std::string path;
  std::string version;           // "0.8.0"
  bool disables_userns = false;  // --disable-userns, and it works here
  bool bounds_tmpfs = false;     // --size
  // Arguments that show /usr, /bin, /lib and so on as this system has them, and a little of /etc.
  std::vector<std::string> system_paths;
};

// Looks in $PATH and the usual places; runs it to see what it knows, so it blocks for some 10 ms.
// EPERM with what to install where there is none.
Result<Bubblewrap> find_bubblewrap();

// Makes a sandbox that does nothing: exit code 0, or what bubblewrap said. Blocks for some 6 ms.
Result<BriefRun> try_bubblewrap(const Bubblewrap& bubblewrap);

// The command line up to and with the program that is run first inside. EINVAL for a bind that
// would replace a part of the system. Touches no path of the request: a bind may lie on a mount
// that this very process serves.
Result<std::vector<std::string>> bubblewrap_arguments(const Bubblewrap& bubblewrap,
                                                      const ExecRequest& request,
                                                      const std::string& program);

}  // namespace agentfs::exec
