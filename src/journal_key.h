// SPDX-License-Identifier: MIT
// The key that the journal's head is signed with, where it is damaged.
#pragma once

#include <string>

#include "base/error.h"
#include "quarantine.h"
#include "state_directory.h"

namespace agentfs {

constexpr const char* kJournalKey = "keys/journal.ed25519";  // in STATE

// Mends the key where one flipped bit is all that is wrong; else sets it aside, so that
// SigningKey::ensure() makes another, which signs from then on. What was done; "": the key is
// whole, or there is none. For whoever holds the state's lock.
Result<std::string> mend_journal_key(const StateDirectory& state, const Quarantine& quarantine);

}  // namespace agentfs
