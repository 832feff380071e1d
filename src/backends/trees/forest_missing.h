// SPDX-License-Identifier: MIT
// Records of a forest that are gone, by the rolls that told of them.
#pragma once

#include <optional>
#include <string>

#include "backends/trees/forest_disk.h"
#include "base/directory.h"
#include "base/findings.h"

namespace agentfs::trees {

// Which record it is, where one is gone (or came) and its name can be made out, and what that means
// for who looks; where not, that some are. Nothing: the roll says what is there. Costs a look at
// the names in each directory of the tree. The lines are to be loaded.
std::optional<std::string> tell_missing(ForestDisk& disk, const Line& line);

std::uint64_t sum_of(const std::vector<HostEntry>& entries);

// Whether a kept directory, an O_PATH descriptor, has other entries than it was kept with.
bool is_amiss(const Marks& marks, int directory, const std::vector<HostEntry>& entries);

// Of trees without any records.
Result<Findings> check_without_records(const std::string& directory);

}  // namespace agentfs::trees
