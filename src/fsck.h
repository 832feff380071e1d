// SPDX-License-Identifier: MIT
// `agentfs fsck`: is an unmounted state whole?
#pragma once

#include <string>

namespace agentfs {

struct FsckOptions {
  std::string state{};
  bool repair = false;    // what needs no guessing, before it is checked
  bool solidify = false;  // make every fork a plain directory
  bool rehash = false;    // read every byte that has a known hash
};

// Prints a line for each part of the state. Returns 0 when all is well, 1 when something is
// damaged, 2 when the state cannot be looked at (in use, not there, of a newer format).
int run_fsck(const FsckOptions& options);

}  // namespace agentfs
