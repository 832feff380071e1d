// SPDX-License-Identifier: MIT
// What of the trash has a way back to where it was.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kernel/caller.h"
#include "kernel/history.h"
#include "kernel/namespace.h"

namespace agentfs {

class Kernel;

// The path of the mount; what climbs out of the root is refused, however it is written. EINVAL.
Result<std::string> path_below(const std::string& root, const std::string& path);

// Of a directory .agentfs, which is always found, whether it is a user's own.
bool is_there(const Kernel& kernel, const Caller& caller, const std::string& path);

// Where something that is no directory is in the way of what comes back. Each path is looked at
// once.
class Obstacles {
 public:
  explicit Obstacles(const Kernel& kernel) : kernel_(kernel) {}
  bool is_at(const std::string& path);
  // The first of the paths above `path` that has one; those of fewer than `top` characters have
  // none. "": the way is free.
  std::string above(const std::string& path, std::size_t top);

 private:
  const Kernel& kernel_;
  std::map<std::string, bool, std::less<>> known_{};
};

struct Returning {
  std::vector<FileVersionRef> versions{};
  std::string note{};  // of what stays in the trash, a line
};

// Of what lies at and below `top`, what can come back: a rollback, or a rename of a directory, may
// have brought something to a path, and a directory may be a file now. Of such a one itself
// `newest` is what it had last.
Returning without_what_is_there(const Kernel& kernel, const Caller& caller, const std::string& top,
                                std::vector<FileVersionRef> found, const FileVersionRef& newest);

// Of what a restore has left to who made it meanwhile, a line; "" where nothing.
std::string note_of_left(const std::vector<std::string>& paths);

}  // namespace agentfs
