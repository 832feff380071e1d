// SPDX-License-Identifier: MIT
// What a row tells of an entry that goes, for the past.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "backends/tree_store.h"
#include "base/json.h"

namespace agentfs {

// The member `kept` for what has no bytes to be kept: an empty file, one of several names of a
// file, a directory, a symbolic link, a FIFO, a socket. Nothing for other files and for devices.
// `next` gives it its number; what a regular file's names have in common is the caller's to set.
std::optional<json::Value> kept_without_bytes(TreeStore& store, const TreeEntry& entry,
                                              const std::function<std::uint64_t()>& next);
// Of a regular file: what its names have in common (file::identity()), if the disk tells it.
void set_identity(json::Value& kept, TreeStore& store, const TreeNode& file);

}  // namespace agentfs
