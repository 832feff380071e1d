// SPDX-License-Identifier: MIT
// One change of an import at a time.
#pragma once

#include <string>

#include "kernel/merges.h"

namespace agentfs {

inline std::string import_key(const std::string& root) { return root + "/import"; }

class ImportTurn {
 public:
  ImportTurn(ConflictTable& table, const std::string& root)
      : table_(table), key_(import_key(root)), taken_(table.begin(key_)) {}
  ~ImportTurn() {
    if (taken_) table_.end(key_);
  }
  ImportTurn(const ImportTurn&) = delete;
  ImportTurn& operator=(const ImportTurn&) = delete;
  Status check() const {
    return taken_ ? ok() : fail(EBUSY, "{}: something else is under way with it", key_);
  }

 private:
  ConflictTable& table_;
  const std::string key_;
  const bool taken_;
};

}  // namespace agentfs
