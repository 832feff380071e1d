// SPDX-License-Identifier: MIT
// Blobs as files: DIRECTORY/<first two digits>/<hash>.
#pragma once

#include <memory>
#include <string>

#include "backends/blob_store.h"

namespace agentfs {

// Opens the store in `directory`, which is made where it is not there; leftovers of puts that a
// crash cut short are removed. One store a directory at a time. put() of bytes whose file a loss
// of power has damaged writes it anew. Threads: all. Errors: those of the disk.
Result<std::unique_ptr<BlobStore>> open_blobs(const std::string& directory);

}  // namespace agentfs
