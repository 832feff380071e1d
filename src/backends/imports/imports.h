// SPDX-License-Identifier: MIT
// The store of imports, plain files below one directory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/import_store.h"
#include "base/findings.h"

namespace agentfs {

// `directory` is made when the first import is; `trees` has those of the imports: what is lent of
// one that is not in `directory` cannot be read. `trusted`: marks only root sees, as the forest's.
Result<std::unique_ptr<ImportStore>> open_imports(const std::string& directory,
                                                  const std::string& trees, bool trusted);

// For fsck: what of `directory` cannot be read, and what has changed at its sources since.
Result<Findings> check_imports(const std::string& directory, const std::string& trees);

// For fsck --repair: ends of records that are none are set aside, as the next record does; what was
// done.
Result<std::vector<std::string>> mend_imports(const std::string& directory);

// The imports that have a tree there, ascending.
std::vector<std::uint32_t> imports_with_trees(const std::string& trees);

}  // namespace agentfs
