// SPDX-License-Identifier: MIT
// A merge under way, as it is stored: STATE/merges/<root, in hexadecimal>.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
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
  // The state of `from` that the next merge begins from; 0 where paths are left in conflict.
  SnapshotId state{};
  json::Array actions{};
  StoredCaller by{};
  Sequence head{};           // the journal's, before it was told
  bool is_left = false;      // by a crash
  std::string note{};        // not stored
  MergeConflictsRef left{};  // neither; null where none are
  std::string shown{};       // the conflicts before it, as stored(): they are again if it is undone

  std::string text() const;
  static Result<Order> parse(std::string_view text);
};

}  // namespace agentfs
