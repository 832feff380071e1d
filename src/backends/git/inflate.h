// SPDX-License-Identifier: MIT
// zlib's inflate(), in a program that has this, ends where it cannot go on.
#pragma once

namespace agentfs::git {

// libgit2 (1.5 at least) reads a loose object that was cut off for ever: it asks inflate() for the
// rest again and again, takes Z_BUF_ERROR for a wish for more room, and has no more input to give.
// A program that calls this has an inflate() of its own, which calls zlib's and says Z_DATA_ERROR
// once a stream has come back for nothing many times in a row. Others never do. Threads: all.
void end_starved_streams();

}  // namespace agentfs::git
