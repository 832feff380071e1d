// SPDX-License-Identifier: MIT
// What is asked of text that was written to a synthetic file.
#pragma once

#include <string_view>

#include "fs/vfs/row_file.h"

namespace agentfs::vfs {

// EINVAL where it has a NUL or is not UTF-8.
Status check_text(std::string_view what, std::string_view text);
// Is the line a command, not blank and not a comment?
bool is_command(std::string_view line);
// One journal row for what was written, shortened to 1 KiB.
Status record_written(const RowFile& file, const Caller& author, std::string_view text);

}  // namespace agentfs::vfs
