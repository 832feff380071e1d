// SPDX-License-Identifier: MIT
// The mark in the inode of a lent file: which entry of which import it stands for.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "backends/imports/import_records.h"

namespace agentfs::imports {

struct LentMark {
  std::uint32_t import = 0;  // 0: a damaged mark
  std::size_t entry = 0;
  // Of the entry and `blocks`, so that a mark which leads to another one is known; earlier builds
  // had none.
  std::optional<std::uint16_t> check{};
  std::optional<std::int64_t> blocks{};  // of 512 bytes, of a file with holes; needs `check`

  std::uint16_t check_of(const Entry& entry) const;
  bool leads_to(const Entry& to) const { return !check || *check == check_of(to); }
};

// The name of the attribute. `trusted`: only root sees it.
const char* lent_mark_name(bool trusted);
// Makes an empty file one that is lent: a hole of `size` bytes with the mark; false: errno tells.
bool lend(int file, off_t size, const char* name, const LentMark& mark);
// `file` is a descriptor, O_PATH is enough; nothing for a file that is not lent.
std::optional<LentMark> lent_mark(int file, const char* name);
// The same, without the mark: of what an ordinary user's daemon may not read, names are told.
bool has_lent_mark(int file, const char* name);

}  // namespace agentfs::imports
