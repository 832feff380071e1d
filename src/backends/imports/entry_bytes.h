// SPDX-License-Identifier: MIT
// What the recorded files of an import hold: copies that were kept of them, or the directory's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "backends/imports/import_records.h"
#include "backends/lender.h"
#include "base/error.h"

namespace agentfs::imports {

// Threads: all. An entry whose file was recorded anew since, its bytes the same (has_same_bytes()),
// is read as any of these can be. EBUSY where the bytes are not to be had any more.
Result<Lender::Lent> open_entry(const ImportRecords& records, std::size_t number);
// Whether both were recorded of one file, with nothing done to it in between, but to a directory
// that it is in.
bool are_one_state(const ImportRecords& records, std::size_t one, std::size_t other);
// Whether open_entry() would read one for the other, so that comparing what it reads says nothing.
bool are_read_from_one_place(const ImportRecords& records, std::size_t one, std::size_t other);
// All of it, in one state, or EBUSY; `shown` is for the error.
Status copy_whole(const Lender::Lent& from, int to, const std::string& shown);
// Makes the copy that open_entry() prefers; how many bytes. One that is not `durable` may be found
// missing after a power cut.
Result<std::uint64_t> keep_entry(const ImportRecords& records, std::size_t number, bool durable);

// What a crash left of keep_entry().
void drop_unfinished(const ImportRecords& records);

}  // namespace agentfs::imports
