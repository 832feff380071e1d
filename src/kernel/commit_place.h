// SPDX-License-Identifier: MIT
// Where the daemon commits a workspace, and what that needs before.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace agentfs {

class Kernel;

// A commit reads and writes the repository on the disk, past the forest. So it is there whole, and
// the directory that the ref ("refs/agentfs/turns/7") comes into is kept for checkpoints and forks
// of before, as a change of it through the forest would: they see none of the commit's names. Of
// its objects they may see some, which does no harm where no ref leads to them. Nothing where there
// is no .git, or no forest; what fails is in the log. Too many refs beside it are packed.
void ready_for_commit(Kernel& kernel, const std::string& root, const std::string& ref);

// Of a workspace that is no repository: "STATE/git/NAME.git". A NAME that is too long for that is
// shortened, and the directory called ".git~", as no other one is.
std::string repository_beside(const std::string& state, std::string_view workspace);

// A name in at most `longest` bytes: itself, or how it begins, `mark` and 32 digits of its hash.
std::string shortened(std::string_view name, std::size_t longest, std::string_view mark);

}  // namespace agentfs
