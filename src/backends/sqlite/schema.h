// SPDX-License-Identifier: MIT
// The tables and views of the store, and how a file is made ready for them.
#pragma once

#include "backends/sqlite/connection.h"

namespace agentfs::sqlite {

// The format that this program reads and writes: SQLite's user_version.
inline constexpr std::int64_t kFormat = 1;

// Sets the connection up, makes the tables in an empty file and brings the views up to date.
// EBADMSG for another program's database, ENOTSUP for a newer format; then the file is untouched.
Status prepare_schema(const Connection& connection, const std::string& path);

}  // namespace agentfs::sqlite
