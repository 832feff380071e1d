// SPDX-License-Identifier: MIT
// What the overlays of commands keep under names that are the mount's, which no fold takes over.
#pragma once

#include <string>

namespace agentfs {

class Kernel;
struct FastRun;
struct FastEnd;

// After the fold of a command that has left something under such names: says in the end's lines
// where that is. It is kept as long as all that the workspace's commands have left so finds room in
// its limits, and is no more than some megabytes; else it goes with the overlay, which keeps
// nothing then unless it `keeps_more`. `all` is the directory of all overlays, `directory` this
// one's.
void judge_left(Kernel& kernel, const std::string& all, const std::string& directory, FastRun& run,
                FastEnd& end, bool keeps_more);

// Why no other command of the workspace may have an overlay: what the earlier ones' keep below
// `all` is more than those megabytes. Empty: it may.
std::string why_no_other(const std::string& all, const std::string& root);

}  // namespace agentfs
