// SPDX-License-Identifier: MIT
// Names of segments, and what is found in their directory when a log is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/log_store.h"

namespace agentfs::segments {

std::string segment_name(std::uint64_t first_sequence);  // "000000000001.jsonl"
// The sequence number in a segment's name; nothing where the name is not one.
std::optional<std::uint64_t> first_sequence_of(std::string_view name);

// The segments of a directory, oldest first; other files in it are left alone. Sizes are those of
// the whole lines. A torn end of the last one is cut off and kept beside the directory, unless
// `look_only`.
Result<std::vector<SegmentInfo>> find_segments(const std::string& directory, bool look_only);

// Makes what was created in or removed from a directory survive the loss of power.
Status sync_directory(const std::string& directory);

// Asks a disk that writes elsewhere what is written again to write this file, which is empty, where
// it is, as btrfs does: then what is allocated is room for it.
void write_in_place(int fd);

// Exactly `size` bytes from `offset`; EBADMSG where the file is shorter.
Result<std::string> read_range(const std::string& path, std::uint64_t offset, std::uint64_t size);

}  // namespace agentfs::segments
