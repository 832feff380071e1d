// SPDX-License-Identifier: MIT
// Where a directory of the host is not as it was recorded.
#pragma once

#include <string>
#include <vector>

#include "backends/imports/host_directory.h"
#include "backends/imports/import_records.h"

namespace agentfs::imports {

// The directory as it is now. ENODEV: an empty one is in its place, as where a disk is not mounted.
Result<HostDirectory> source_of(const ImportRecords& records);

// What drift() and written() of ImportStore promise. Threads: all.
Result<std::vector<HostDrift>> drift_of_all(const ImportRecords& records, const HostDirectory& host,
                                            bool whole);
Result<std::vector<HostDrift>> drift_of(const ImportRecords& records, const HostDirectory& host,
                                        const std::vector<std::string>& paths);
Result<HostWritten> drift_of_written(const ImportRecords& records, const HostDirectory& host,
                                     const std::vector<HostChange>& changes);

}  // namespace agentfs::imports
