// SPDX-License-Identifier: MIT
// Old contents below a directory of the same disk as the trees.
#pragma once

#include <memory>
#include <string>

#include "backends/lender.h"
#include "backends/past_store.h"

namespace agentfs {

// DIRECTORY/<number / 1000>/<number>.<path>, the path's '/' and '%' written as %2F and %25; one
// that is too long is cut, has '~' in place of the dot, and stands in DIRECTORY/paths.jsonl.
// DIRECTORY/new holds copies under way, and is emptied here. `lender`, which may be null, of kept
// files whose bytes lie elsewhere.
Result<std::unique_ptr<PastStore>> open_past(const std::string& directory,
                                             const Lender* lender = nullptr);

}  // namespace agentfs
