// SPDX-License-Identifier: MIT
// What programs of the host write without its being seen at the file.
#pragma once

#include <vector>

#include "backends/imports/import_records.h"

namespace agentfs::imports {

// A store through a mapping moves the times of its file where it is the first into a page since
// that was written back, and two writes within one tick of the clock have one time. When this
// returns, whatever is written to these files from then on gives them other times than they are
// seen with, and what was written before is what they hold. A tmpfs never moves the times of what
// is mapped; a disk that cannot write back is waited for no longer than its answer takes.
void settle_stores(const ImportRecords& records, const std::vector<Entry>& seen);

}  // namespace agentfs::imports
