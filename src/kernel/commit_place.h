// SPDX-License-Identifier: MIT
// The .git of a workspace, before the daemon commits into it.
#pragma once

#include <string>

namespace agentfs {

class Kernel;

// A commit reads and writes the repository on the disk, past the forest. So it is there whole, and
// the directory that the ref ("refs/agentfs/turns/7") comes into is kept for checkpoints and forks
// of before, as a change of it through the forest would: they see none of the commit's names. Of
// its objects they may see some, which does no harm where no ref leads to them. Nothing where there
// is no .git, or no forest; what fails is in the log. Too many refs beside it are packed.
void ready_for_commit(Kernel& kernel, const std::string& root, const std::string& ref);

}  // namespace agentfs
