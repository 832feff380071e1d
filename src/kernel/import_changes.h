// SPDX-License-Identifier: MIT
// What differs between two trees, as changes of a directory of the host.
#pragma once

#include <vector>

#include "backends/import_store.h"

namespace agentfs {

// What leads the directory from what `from` holds to what `to` does, ordered by path; contents are
// opened when they are asked for, and the store outlives them. Sockets and devices stay where they
// are. No file gets set-user-id or set-group-id that it does not have, unless `with_set_id`: who
// may make such a file here is not always who may make one there.
Result<std::vector<HostChange>> host_changes(const TreeSide& from, const TreeSide& to,
                                             const std::vector<PathChange>& changes,
                                             bool with_set_id);

}  // namespace agentfs
