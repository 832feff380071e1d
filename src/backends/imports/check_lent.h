// SPDX-License-Identifier: MIT
// What fsck asks about the files that an import lends, and about what was kept for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/imports/import_records.h"
#include "base/findings.h"

namespace agentfs::imports {

// `tree` is the import's own, which holds each file where the source has it.
void check_lent(const ImportRecords& records, std::uint32_t import, const std::string& tree,
                Findings& found);

// Of another tree of the imports' forest: is any file one hole, without a mark, that an import has
// recorded with its path, size and time?
struct NumberedRecords {
  std::uint32_t import = 0;
  std::shared_ptr<ImportRecords> records{};
};
void check_unmarked(const std::vector<NumberedRecords>& imports, const std::string& tree,
                    Findings& found);

// Of the lines of the imports' forest, which forks go on reading when an import was removed: is any
// file lent by one that nothing is known of, or that has no such record?
void check_lines(const std::vector<NumberedRecords>& imports, const std::string& lines,
                 Findings& found);

// Of directories of trees and lines: can the bytes be read of all files that lead to a record? They
// are kept by the import where it has changed its source itself; others may change that, too.
void check_bytes(const std::vector<NumberedRecords>& imports, const std::vector<std::string>& tops,
                 Findings& found);

// Of what was kept, each has the size that it was recorded with.
void check_kept(const ImportRecords& records, std::uint32_t import, Findings& found);

}  // namespace agentfs::imports
