// SPDX-License-Identifier: MIT
// What programs of the host write without its being seen at the file.
#pragma once

#include <vector>

#include "backends/imports/import_records.h"

namespace agentfs::imports {

// What record() of ImportStore promises. A store through a mapping moves the times of its file
// where it is the first into a page since that was written back, and two writes within one tick of
// the clock have one time. When this returns, whatever is written to these files from then on gives
// them other times than they are recorded with, and what was written before is what they hold. (A
// tmpfs never moves the times of what is mapped.)
Status record_settled(ImportRecords& records, const std::vector<HostDrift>& seen);

}  // namespace agentfs::imports
