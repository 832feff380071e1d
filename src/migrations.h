// SPDX-License-Identifier: MIT
// The format of STATE, and the ways from older ones to this.
#pragma once

#include <string>

#include "base/error.h"

namespace agentfs {

// STATE/format says which one a state has; an empty directory gets this version's. EBADMSG for one
// that this version does not know; of an older one nothing is said, migrate() changes it. Where the
// number is damaged, STATE/format.copy has it, with a sum.
Status check_format(const std::string& state);

// For whoever holds the state's lock: brings it to this version's format, and the number and its
// copy to what they have to be; what of them was damaged, "" where nothing was. What a step is
// going to change is kept first, under STATE/backup-<format>-<time>; the new number is written
// last, so that a step that a crash cut short is done again, which each can bear. A state without a
// number that holds a journal counts as the oldest.
Result<std::string> migrate(const std::string& state);

}  // namespace agentfs
