// SPDX-License-Identifier: MIT
// A merge under way, as it is stored: STATE/merges/<root, in hexadecimal>.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/prepared_file.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/stored_caller.h"

namespace agentfs {

Result<TreeSide> live_side(Forest& forest, const std::string& root);

// Stored before anything is changed, and again when all is: a crash is undone before the second
// time, and ended after it.
struct Merges::Order {
  std::string root;
  std::string from;
  SnapshotId base{};  // not stored
  bool done = false;
  std::string record;
  std::uint32_t into = 0;  // the number of the root's tree; 0: of an earlier build
  // The state of `from` that the next merge begins from; 0 where paths are left in conflict.
  SnapshotId state{};
  // Of the root, before the merge: whatever is kept of it or taken back until the merge is ended,
  // the record of it is of this moment. Nothing: of an earlier build.
  std::optional<std::uint64_t> newest{};
  json::Array actions{};
  StoredCaller by{};
  Sequence head{};                          // the journal's, before it was told
  bool is_left = false;                     // by a crash
  std::string note{};                       // not stored
  MergeConflictsRef left{};                 // neither; null where none are
  std::optional<PreparedFile> base_file{};  // nor this: of the record
  std::string shown{};  // the conflicts before it, as stored(): they are again if it is undone

  std::string text() const;
  static Result<Order> parse(std::string_view text);
};

}  // namespace agentfs
