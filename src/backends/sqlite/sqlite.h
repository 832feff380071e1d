// SPDX-License-Identifier: MIT
// The fold of the journal in one SQLite file, which the sqlite3 shell can read.
#pragma once

#include <memory>
#include <string>

#include "backends/record_store.h"

namespace agentfs {

// Opens the store in the file `path`; it is made where it is not there. Table `object` holds
// (collection, key, json), table `meta` the sequence number reached; a view for each well-known
// collection shows its JSON members as columns. In WAL mode: others may read while it is open.
//
// Threads: one caller at a time, which must not change the store from within load()'s visitor.
// Errors: ENOSPC, EIO, EBUSY (another process holds the file for longer than 5 s), EBADMSG for a
// damaged file or another program's, ENOTSUP for the format of a newer agentfs; EINVAL for a
// collection's name that is not [a-z]+ or a sequence that goes back. clear() deletes nothing:
// the file is set aside as PATH.damaged-<n> and an empty one takes its place.
Result<std::unique_ptr<RecordStore>> open_sqlite(const std::string& path);

// For a damaged file that open_sqlite() refuses with EBADMSG: sets it aside in the same way.
Result<std::unique_ptr<RecordStore>> replace_damaged_sqlite(const std::string& path);

}  // namespace agentfs
