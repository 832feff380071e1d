// SPDX-License-Identifier: MIT
// The store of imports, plain files below one directory.
#pragma once

#include <memory>
#include <string>

#include "backends/import_store.h"
#include "base/findings.h"

namespace agentfs {

// `directory` is made when the first import is. `trusted`: marks only root sees, as the forest's.
Result<std::unique_ptr<ImportStore>> open_imports(const std::string& directory, bool trusted);

// For fsck: what of `directory` cannot be read, and what has changed at its sources since.
Result<Findings> check_imports(const std::string& directory);

}  // namespace agentfs
