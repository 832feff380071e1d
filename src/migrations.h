// SPDX-License-Identifier: MIT
// The format of STATE, and the ways from older ones to this.
#pragma once

#include <string>

#include "base/error.h"

namespace agentfs {

// STATE/format says which one a state has; an empty directory gets this version's. EBADMSG for one
// that this version does not know; of an older one nothing is said, migrate() changes it.
Status check_format(const std::string& state);

// For whoever holds the state's lock: brings it to this version's format. What a step is going to
// change is kept first, under STATE/backup-<format>-<time>; the new number is written last, so that
// a step that a crash cut short is done again, which each can bear. A state without a number that
// holds a journal counts as the oldest.
Status migrate(const std::string& state);

}  // namespace agentfs
