// SPDX-License-Identifier: MIT
// Where the fold of the journal is kept between starts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/ids.h"

namespace agentfs {

// One object's new JSON text, or its removal where there is none.
struct ObjectChange {
  std::string collection;  // "process", "message", "call", "run", …: [a-z]+
  std::string key;         // unique within the collection; sorts as bytes
  std::optional<std::string> json;
};

// Threads: one caller at a time. Never loses what apply() acknowledged, but for power loss without
// a sync. Errors: ENOSPC and EIO as the disk says them, EBADMSG for a damaged store.
class RecordStore {
 public:
  using Visitor = std::function<Status(std::string_view collection, std::string_view key,
                                       std::string_view json)>;

  virtual ~RecordStore() = default;
  // The journal record that the content reflects, inclusively; 0 for an empty store.
  virtual Result<Sequence> reached() = 0;
  // All or nothing: writes the changes and the sequence number they bring the store to.
  virtual Status apply(Sequence reached, std::span<const ObjectChange> changes) = 0;
  // Every object, ordered by collection and key; stops at the visitor's first error.
  virtual Status load(const Visitor& visitor) = 0;
  // Integrity of the store itself: EBADMSG with what was found.
  virtual Status check() = 0;
  // Removes everything, so that a whole replay can fill it again.
  virtual Status clear() = 0;
};

}  // namespace agentfs
