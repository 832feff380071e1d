// SPDX-License-Identifier: MIT
// Why who waits for an answer was interrupted.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace agentfs::fuse {

// Whether what a thread is interrupted by only tells it something, and its program goes on
// afterwards with what it did: a child's end (a shell's background job), a window's size. False,
// too, where it cannot be known. Threads: all.
bool is_interrupted_by_news(pid_t thread);
// The same of the text of /proc/<thread>/status (proc(5)).
bool tells_only_news(std::string_view status);

}  // namespace agentfs::fuse
