// SPDX-License-Identifier: MIT
// A process's conversation as text for people: what /proc/<pid>/chat shows.
#pragma once

#include <string>

#include "kernel/process.h"

namespace agentfs {

// Each message begins with a line "## <number> <role>[ <from>] <time>", so `grep '^## '` lists
// them; its text follows, and an empty line. Lines of a text that begin with "## " are indented by
// one space. A tool call is one line in place of its tool message:
//   - call 3 read {"path":"main.c"}: done, 120 bytes
// Queued messages come last, as "## queued <from> <time>". A run that did not end with an answer is
// told by a line "[failed: <reason>]", "[cancelled]" or "[quota:tokens: <reason>]".
std::string render_chat(const Process& process);

}  // namespace agentfs
