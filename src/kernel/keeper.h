// SPDX-License-Identifier: MIT
// Keeps the fold in the record store: loads it at a start, writes what has changed in groups.
#pragma once

#include <string>
#include <vector>

#include "backends/record_store.h"
#include "kernel/fold.h"
#include "kernel/journal.h"

namespace agentfs {

// Threads: one caller at a time; the kernel sees to it. Holds no lock.
class Keeper {
 public:
  Keeper(RecordStore& store, const Journal& journal) : store_(store), journal_(journal) {}

  // The fold as of the journal's head: what the store has, and the records after it. A store that
  // is damaged, ahead of the journal or of another chain is cleared and filled again.
  Result<Fold> load();
  // What one write brings to the store.
  struct Batch {
    std::vector<StoredObject> objects;
    ProcessId next_pid;
    JournalHead head;  // that the objects reflect
  };
  Status write(const Batch& batch);

 private:
  Result<Fold> load_store();
  Status replay(Fold& fold);

  RecordStore& store_;
  const Journal& journal_;
};

}  // namespace agentfs
