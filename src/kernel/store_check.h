// SPDX-License-Identifier: MIT
// What fsck wants to know of the fold: is the store what the journal says, is the past there?
#pragma once

#include <cstdint>
#include <set>

#include "backends/past_store.h"
#include "backends/record_store.h"
#include "base/findings.h"
#include "kernel/history.h"
#include "kernel/journal.h"

namespace agentfs {

// The store's own integrity, and that each of its objects is what a replay of the journal makes of
// it; the second is left out where the journal is damaged, which then says less than the store.
Result<Findings> check_store(RecordStore& store, const Journal& journal, bool journal_is_whole);

// Each content that the history tells of. One that no row tells of is no damage: a start adopts it.
// `forgotten`: those whose contents may be gone already, which the next start ends. `may_be_lent`:
// there are imports, and `past` knows what they lend.
Result<Findings> check_past(const History& history, const PastStore& past,
                            const std::set<std::uint64_t>& forgotten, bool may_be_lent);

}  // namespace agentfs
