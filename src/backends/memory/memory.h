// SPDX-License-Identifier: MIT
// The stores in memory: for tests, and for what need not outlive the daemon.
#pragma once

#include <memory>

#include "backends/blob_store.h"
#include "backends/log_store.h"
#include "backends/record_store.h"

namespace agentfs {

// Each behaves as its counterpart on disk does, errors included, and forgets everything when it is
// destroyed. Threads: as the interfaces say.
std::unique_ptr<LogStore> make_memory_log();
std::unique_ptr<RecordStore> make_memory_records();
std::unique_ptr<BlobStore> make_memory_blobs();

}  // namespace agentfs
