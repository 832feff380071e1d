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
  Keeper(RecordStore& store, Journal& journal) : store_(store), journal_(journal) {}

  // The fold as of the journal's head: what the store has, and the records after it. A store that
  // is damaged, ahead of the journal or of another chain is cleared and filled again; process
  // numbers that it knew are not given again.
  // A journal with damaged records is left as it is: what they did is only known where the store
  // reflects them already, which is then taken at its word.
  Result<Fold> load();
  // The same for one who only looks: the store is not cleared.
  Result<Fold> look();
  // Sentences about what load() found that should not be: perhaps records were taken away.
  const std::vector<std::string>& problems() const { return problems_; }
  // What one write brings to the store.
  struct Batch {
    std::vector<StoredObject> objects;
    ProcessId next_pid;
    std::uint64_t last_version = 0;
    JournalHead head;        // that the objects reflect
    Sequence generations{};  // the record that theirs reflect: they are stored less often
  };
  Status write(const Batch& batch);

 private:
  Result<Fold> load_store();
  Status check_hash(Sequence reached, const std::string& stored);
  Status replay(Fold& fold);
  // What the store says of itself; null where it cannot be read.
  json::Value load_state();

  RecordStore& store_;
  Journal& journal_;
  std::vector<std::string> problems_;
};

}  // namespace agentfs
