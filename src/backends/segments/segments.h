// SPDX-License-Identifier: MIT
// The journal's segments as files: DIRECTORY/000000000001.jsonl, plain lines that cat can read.
#pragma once

#include <memory>
#include <string>

#include "backends/log_store.h"

namespace agentfs {

// Opens the log in `directory`, which is made where it is not there. A last line without its '\n',
// torn by a loss of power, is cut off and kept as torn-<first sequence>-<offset> beside the
// directory. An empty log begins with segment 1 unless it is rolled first. `look_only`: nothing is
// cut off or kept back, for one who only reads.
//
// Threads: append() and roll() by one thread at a time; sync(), segments() and read() by any,
// beside them: a sync does not hold up appends.
// Errors: those of the disk; EINVAL for text that is not whole lines, or for a sequence that is not
// beyond the last segment's; EMSGSIZE where the line at `offset` is longer than `limit`. After a
// failed append the log ends where it did; should even cutting it fail, appends fail until it
// succeeds. After a failed sync every sync fails, as what the disk has lost cannot be known: the
// log must be opened again.
Result<std::unique_ptr<LogStore>> open_segments(const std::string& directory,
                                                bool look_only = false);

}  // namespace agentfs
