// SPDX-License-Identifier: MIT
// What of the trash has a way back to where it was.
#pragma once

#include <string>
#include <vector>

#include "kernel/caller.h"
#include "kernel/history.h"

namespace agentfs {

class Kernel;

// Of a directory .agentfs, which is always found, whether it is a user's own.
bool is_there(const Kernel& kernel, const Caller& caller, const std::string& path);

struct Returning {
  std::vector<FileVersionRef> versions{};
  std::string note{};  // of what stays in the trash, a line
};

// Of what lies at and below `top`, what can come back: a rollback, or a rename of a directory, may
// have brought something to a path, and a directory may be a file now. Of such a one itself
// `newest` is what it had last.
Returning without_what_is_there(const Kernel& kernel, const Caller& caller, const std::string& top,
                                std::vector<FileVersionRef> found, const FileVersionRef& newest);

}  // namespace agentfs
